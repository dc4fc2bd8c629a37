// All cameras: live pictures and a table, worst first, and the latest events.

import { sparkline } from "./charts.js";
import { duration, el, getJson, noPicture, now, points, rate, when, words } from "./dom.js";
import { cameraLink, chip, eventList, needsLook } from "./events.js";
import { Picture } from "./picture.js";

const HOUR = 3600;

class Card {
  constructor(source) {
    this.picture = new Picture(source);
    this.chips = el("span");
    this.spark = el("div", { className: "spark" });
    this.node = el(
      "a",
      { className: "card sheet", href: cameraLink(source), data: { camera: source } },
      this.picture.node,
      el("div", { className: "caption" }, el("b", { textContent: source, title: source }), this.chips),
      this.spark,
    );
    this.curve = [[], []];
  }

  mount() {
    this.chart = sparkline(this.spark, HOUR);
  }

  update(camera) {
    this.picture.update(camera);
    this.node.classList.toggle("trouble", needsLook(camera));
    this.chips.replaceChildren(...chips(camera));
  }

  reading({ wall_time, score }) {
    const [times, scores] = this.curve;
    if (times.length && wall_time - times[times.length - 1] < 5) return; // a pixel is half a minute
    times.push(wall_time);
    scores.push(score);
    while (times[0] < wall_time - HOUR) (times.shift(), scores.shift());
    this.chart.show(times, scores);
  }

  past(curve) {
    this.curve = [[...curve.times], [...curve.score]];
    this.chart.show(...this.curve);
  }

  remove() {
    this.chart?.remove();
    this.node.remove();
  }
}

const muteChip = ({ muted_until: until, muted_by: by }) =>
  until === null ? [] : [el("span", { className: "chip quiet", textContent: `muted until ${when(until)}`, title: `by ${by}` })];

const chips = (camera) => [...muteChip(camera), ...camera.events.map((event) => chip(event))];

function tableRow(camera) {
  const cause = Object.entries(camera.causes).sort((a, b) => b[1] - a[1])[0];
  const cell = (text, name = "") => el("td", { textContent: text, className: name });
  return el(
    "tr",
    { data: { row: camera.source } },
    el("td", {}, el("a", { href: cameraLink(camera.source), textContent: camera.source })),
    el(
      "td",
      { title: camera.reason },
      el("span", { className: `state-${camera.state}`, textContent: camera.state }),
      ` ${camera.state === "up" ? "" : duration(now() - camera.since)}`,
    ),
    cell(camera.void ? noPicture(camera.void) : points(camera.score), `number band-${camera.band}`),
    cell(points(camera.baseline), "number wide"),
    el("td", {}, ...chips(camera)),
    cell(cause && cause[1] >= 0.1 ? `${words(cause[0])} ${Math.round(cause[1] * 100)} %` : "–", "wide"),
    cell(rate(camera), "number wide"),
    cell(camera.reconnects, "number wide"),
    cell(camera.dropped, "number wide"),
  );
}

export class Overview {
  constructor(host) {
    this.cards = new Map();
    this.wall = el("section", { className: "wall", ariaLabel: "live pictures" });
    this.latest = [];
    this.search = el("input", { type: "search", placeholder: "camera or group", ariaLabel: "search cameras", oninput: () => this.show() });
    this.group = el("select", { ariaLabel: "group", onchange: () => this.show() });
    this.filter = el("div", { className: "top filter", role: "search" }, this.search, this.group);
    this.body = el("tbody");
    this.events = el("section", { id: "events" });
    const heads = ["camera", "state", "score", "baseline", "events", "main cause", "scores/s", "reconnects", "dropped"];
    const wide = new Set([3, 5, 6, 7, 8]);
    const numeric = new Set([2, 3, 6, 7, 8]);
    const head = heads.map((textContent, i) =>
      el("th", { textContent, className: `${wide.has(i) ? "wide" : ""} ${numeric.has(i) ? "number" : ""}` }),
    );
    host.replaceChildren(
      el("h1", { className: "away", textContent: "All cameras" }),
      this.filter,
      this.wall,
      el("h2", { textContent: "Cameras, worst first" }),
      el("div", { className: "sheet" }, el("table", { id: "cameras" }, el("thead", {}, el("tr", {}, ...head)), this.body)),
      el("h2", { textContent: "Events of the last 24 hours" }),
      this.events,
    );
    this.refreshPast();
    this.timer = setInterval(() => this.refreshPast(), 60_000);
  }

  cameras(cameras) {
    this.latest = cameras;
    const names = [...new Set(cameras.map(({ group }) => group).filter(Boolean))].sort();
    const options = ["", ...names];
    if (options.join("\n") !== [...this.group.options].map(({ value }) => value).join("\n")) {
      const chosen = this.group.value;
      this.group.replaceChildren(...options.map((value) => el("option", { value, textContent: value || "all groups" })));
      this.group.value = options.includes(chosen) ? chosen : "";
    }
    this.group.hidden = !names.length;
    this.filter.hidden = cameras.length < 2;
    this.show();
  }

  // Those that match the search and the group.
  show() {
    const text = this.search.value.trim().toLowerCase();
    const matches = ({ source, group }) =>
      (!this.group.value || group === this.group.value) && (source.toLowerCase().includes(text) || group.toLowerCase().includes(text));
    this.place(this.latest.filter(matches));
  }

  place(cameras) {
    const present = new Set(cameras.map(({ source }) => source));
    for (const [source, card] of this.cards) if (!present.has(source)) (card.remove(), this.cards.delete(source));
    let added = false;
    cameras.forEach((camera, place) => {
      let card = this.cards.get(camera.source);
      const isNew = !card;
      if (isNew) this.cards.set(camera.source, (card = new Card(camera.source)));
      if (this.wall.children[place] !== card.node) this.wall.insertBefore(card.node, this.wall.children[place] ?? null);
      if (isNew) card.mount();
      added ||= isNew;
      card.update(camera);
    });
    this.body.replaceChildren(...cameras.map(tableRow));
    if (added) this.refreshPast();
  }

  reading(reading) {
    const card = this.cards.get(reading.source);
    card?.picture.reading(reading);
    card?.reading(reading);
  }

  snapshot(snapshot) {
    this.cards.get(snapshot.source)?.picture.snapshot(snapshot);
  }

  event() {
    setTimeout(() => this.refreshEvents(), 1200); // the history writes twice a second
  }

  async refreshPast() {
    this.refreshEvents();
    const curves = await getJson("api/curves", { points: 60 });
    for (const [source, curve] of Object.entries(curves)) this.cards.get(source)?.past(curve);
  }

  async refreshEvents() {
    const end = now() + 60; // also what began by a clock that is a little ahead
    const events = await getJson("api/events", { since: end - 86400, until: end, limit: 24 });
    this.events.replaceChildren(eventList(events, true));
  }

  remove() {
    clearInterval(this.timer);
    for (const card of this.cards.values()) card.remove();
  }
}
