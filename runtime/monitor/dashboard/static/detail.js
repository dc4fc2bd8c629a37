// One camera: its current state, and its curves and events over minutes, an hour, a day, a week, or a selection.

import { causeChart } from "./causes.js";
import { baselineSeries, timeChart } from "./charts.js";
import { scoreBands, scoreSeries, style } from "./curves.js";
import { debounced, duration, el, getJson, noPicture, now, number, points, rate, when, words } from "./dom.js";
import { actionList, chip, commandButtons, eventList } from "./events.js";
import { Picture } from "./picture.js";
import { RangeChoice } from "./range.js";

const LIVE_UP_TO = 3600;

export class Detail {
  constructor(host, source) {
    this.source = source;
    this.picture = new Picture(source);
    this.facts = el("div", { className: "facts" });
    this.latest = el("b");
    this.commands = el("div", { className: "chips" });
    this.choice = new RangeChoice((seconds, since, until) => this.choose(seconds, since, until));
    this.title = el("span", { className: "hint" });
    this.score = el("div", { className: "chart sheet", id: "score-chart" });
    this.causes = el("div", { id: "causes" });
    this.signals = el("div", { className: "small-charts" });
    this.events = el("section", { id: "events" });
    this.actions = el("section", { id: "actions" });
    host.replaceChildren(
      el("div", { className: "top" }, el("a", { href: "#", textContent: "← all cameras" }), el("h1", { textContent: source })),
      el("div", { className: "now sheet" }, this.picture.node, this.facts),
      el("h2", { textContent: "Score" }),
      el("div", { className: "top" }, this.choice.node, this.title),
      this.score,
      this.causes,
      el("h2", { textContent: "Signals" }),
      this.signals,
      el("h2", { textContent: "Events" }),
      this.events,
      this.actions,
    );
    this.charts = {};
    this.past = null;
    this.markedEvents = [];
    this.redraw = debounced(() => this.draw(), 250);
    this.timer = setInterval(() => this.range && this.load(), 60_000);
    this.choice.choose(3600);
  }

  choose(seconds, since = null, until = null) {
    this.range = seconds;
    this.load(since, until);
  }

  zoom(since, until) {
    this.choice.press(null);
    this.choose(null, since, Math.max(until, since + 1)); // the API needs at least a second
  }

  get isLive() {
    return this.range !== null && this.range <= LIVE_UP_TO;
  }

  async load(since = null, until = null) {
    const request = (this.request = Symbol("the latest request wins"));
    const end = until ?? now();
    const period = { since: since ?? end - this.range, until: end, source: this.source };
    this.choice.link(this.source, period.since, end); // a click before the answer means the new range, too
    let [past, events, actions] = await Promise.all([
      getJson("api/past", { ...period, points: 400 }),
      getJson("api/events", period),
      getJson("api/actions", period),
    ]);
    if (request !== this.request) return;
    const isMostlyEmpty = past.first !== null && past.first < end && past.first - period.since > (end - period.since) / 2;
    if (isMostlyEmpty && end - past.first > 60) {
      past = await getJson("api/past", { ...period, since: past.first - 5, points: 400 }); // finer, from where data starts
      if (request !== this.request) return;
    }
    this.start = past.since;
    this.past = past;
    this.markedEvents = events;
    this.choice.show(this.source, past.since, past.until);
    this.actions.replaceChildren(...(actions.length ? [el("h2", { textContent: "What was done" }), actionList(actions)] : []));
    this.title.textContent = this.range === null ? `${when(past.since)} to ${when(past.until)}` : "drag across a chart to zoom in";
    this.events.replaceChildren(eventList(events, false));
    this.draw();
  }

  cameras(cameras) {
    const camera = cameras.find(({ source }) => source === this.source);
    if (!camera) {
      this.facts.replaceChildren(el("p", { className: "main", textContent: "not monitored" }));
      return;
    }
    this.picture.update(camera);
    this.showScore(camera);
    const commandable = JSON.stringify([camera.events, camera.muted_until]);
    if (commandable !== this.commanded) this.commands.replaceChildren(...commandButtons(camera).filter(Boolean)); // keeps the focus
    this.commanded = commandable;
    const facts = {
      baseline: points(camera.baseline),
      "scores/s": rate(camera),
      frame: camera.width ? `${camera.width} × ${camera.height}` : "–",
      latency: camera.latency_ms.total === undefined ? "–" : `${Math.round(camera.latency_ms.total)} ms`,
      reconnects: camera.reconnects,
      dropped: camera.dropped,
      ...Object.fromEntries(Object.entries(camera.signals).map(([name, value]) => [words(name), value === null ? "–" : number(value)])),
      ...Object.fromEntries(Object.entries(camera.causes).map(([name, strength]) => [`cause: ${words(name)}`, `${Math.round(strength * 100)} %`])),
    };
    const state = `${camera.state} for ${duration(now() - camera.since)}${camera.state === "up" ? "" : `: ${camera.reason}`}`;
    this.facts.replaceChildren(
      el(
        "div",
        { className: "main" },
        this.latest,
        el("p", { className: `state-${camera.state} hint`, textContent: state }),
        el(
          "div",
          { className: "chips" },
          camera.muted_until === null
            ? null
            : el("span", { className: "chip quiet", textContent: `muted until ${when(camera.muted_until)} by ${camera.muted_by}` }),
          ...camera.events.map((event) => chip(event, ` since ${when(event.began)}: ${event.text}`)),
        ),
        this.commands,
      ),
      el(
        "dl",
        { className: "numbers" },
        ...Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }))),
      ),
    );
  }

  reading(reading) {
    if (reading.source !== this.source) return;
    this.picture.reading(reading);
    this.showScore(reading);
    if (!this.isLive || !this.past) return;
    const { curve, details } = this.past;
    if (reading.wall_time <= (curve.times.at(-1) ?? 0)) return;
    curve.times.push(reading.wall_time);
    for (const column of [curve.score, curve.low, curve.high]) column.push(reading.score);
    details.times.push(reading.wall_time);
    details.baseline.push(reading.baseline);
    for (const name of Object.keys(details.signals)) details.signals[name].push(reading.signals[name] ?? null);
    for (const name of Object.keys(details.causes)) details.causes[name].push(reading.causes[name] ?? null);
    this.past.until = reading.wall_time;
    this.past.since = Math.max(this.start, reading.wall_time - this.range);
    this.redraw();
  }

  showScore({ score, band, void: nothing }) {
    this.latest.className = `band-${band}`;
    this.latest.textContent = nothing ? noPicture(nothing) : `${points(score)} ${band ?? ""}`;
  }

  snapshot(snapshot) {
    if (snapshot.source === this.source) this.picture.snapshot(snapshot);
  }

  event(event) {
    if (event.source === this.source && this.range) setTimeout(() => this.range && this.load(), 1200);
  }

  draw() {
    const { curve, details, since, until } = this.past;
    const baseline = atTimes(curve.times, details.times, details.baseline);
    this.chart("score", this.score, () => [...scoreSeries(), baselineSeries()], { range: [0, 100], bands: scoreBands(), height: 280 }).show(
      [curve.times, curve.score, curve.low, curve.high, baseline],
      curve.step_s,
      since,
      until,
    );
    const step = curve.step_s;
    const causes = Object.keys(details.causes);
    if (causes.length) {
      if (!this.causes.firstChild) this.causes.append(el("h2", { textContent: "Causes" }), el("div", { className: "chart sheet" }));
      this.charts.causes ??= causeChart(this.causes.lastChild, causes, this.shared);
      this.charts.causes.show([details.times, ...causes.map((name) => details.causes[name])], step, since, until);
    }
    for (const [name, values] of Object.entries(details.signals)) {
      const host = this.charts[`signal ${name}`]?.host ?? this.signals.appendChild(el("div", { className: "chart small sheet" }));
      const chart = this.chart(`signal ${name}`, host, () => [{ label: words(name), colour: style("accent") }], { height: 120 });
      chart.show([details.times, values], step, since, until);
    }
  }

  get shared() {
    return { events: () => this.markedEvents, onZoom: (since, until) => this.zoom(since, until) };
  }

  // The chart of that name, created on first use.
  chart(name, host, series, options) {
    this.charts[name] ??= { host, ...timeChart(host, series(), { ...options, ...this.shared }) };
    return this.charts[name];
  }

  remove() {
    clearInterval(this.timer);
    this.request = null;
    for (const chart of Object.values(this.charts)) chart.remove();
  }
}

// The most recent value at each of the times.
function atTimes(times, valueTimes, values) {
  let next = 0;
  return times.map((at) => {
    while (next < valueTimes.length && valueTimes[next] <= at) next++;
    return values[Math.max(0, next - 1)] ?? null;
  });
}
