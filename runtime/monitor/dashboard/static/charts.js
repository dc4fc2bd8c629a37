// Curves over time, drawn by uPlot in the colours of the style sheet.

import { day, shortTime, time, when } from "./dom.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Rows [times, ...columns] with an empty one wherever more than `gap` seconds are missing, lest a line crosses it.
function withGaps(rows, gap) {
  const cuts = [];
  for (let i = 1; i < rows[0].length; i++) if (rows[0][i] - rows[0][i - 1] > gap) cuts.push(i);
  if (!cuts.length) return rows;
  return rows.map((column, number) => {
    const found = [];
    let from = 0;
    for (const cut of cuts) {
      found.push(...column.slice(from, cut), number ? null : (column[cut - 1] + column[cut]) / 2);
      from = cut;
    }
    return found.concat(column.slice(from));
  });
}

function gapOf(times, step) {
  const spaces = times.slice(1).map((at, i) => at - times[i]).sort((a, b) => a - b);
  return Math.max(2.5 * step, 5 * (spaces[spaces.length >> 1] ?? 0));
}

function ticks(_, splits) {
  const span = splits[splits.length - 1] - splits[0];
  const show = span < 900 ? time : span < 36 * 3600 ? shortTime : null;
  return splits.map((at) => (show ? show(at) : new Date(at * 1000).getHours() ? shortTime(at) : day(at)));
}

function eventBands(events) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = style("event");
    for (const { began, ended } of events()) {
      const left = Math.max(bbox.left, plot.valToPos(began, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(ended ?? Date.now() / 1000, "x", true));
      if (right >= bbox.left && left <= bbox.left + bbox.width) {
        ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
      }
    }
    ctx.restore();
  };
}

const axis = (more) => ({
  stroke: style("faint"),
  grid: { stroke: style("line"), width: 1 },
  ticks: { stroke: style("line"), width: 1 },
  font: "12px system-ui",
  ...more,
});

function fitted(host, options, rows) {
  const { paddingLeft, paddingRight } = getComputedStyle(host);
  const room = () => Math.max(80, host.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
  const plot = new uPlot({ width: room(), ...options }, rows, host);
  const watcher = new ResizeObserver(() => {
    const width = room();
    if (width !== plot.width) plot.setSize({ width, height: options.height });
  });
  watcher.observe(host);
  return {
    plot,
    remove() {
      watcher.disconnect();
      plot.destroy();
    },
  };
}

const line = (label, colour, more) => ({
  label,
  stroke: colour,
  width: 1.6,
  points: { show: false },
  value: (_, value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4))),
  ...more,
});

// A chart of `series` ([{label, colour, ...}]) with time on the x axis; `show` takes rows, step and the x range.
export function timeChart(host, series, { height = 240, range = null, bands = [], events = () => [], onZoom = null, sync = "time" }) {
  const fit = fitted(
    host,
    {
      height,
      cursor: { sync: { key: sync }, drag: { x: Boolean(onZoom), y: false, setScale: false } },
      scales: { x: { time: true, auto: false }, y: { range: range ?? ((_, low, high) => [Math.min(0, low ?? 0), 1.1 * high || 1]) } },
      axes: [axis({ values: ticks, space: 70, size: 32 }), axis({ size: 48, space: 24 })],
      series: [{ label: "at", value: (_, at) => (at ? when(at) : "–") }, ...series.map((item) => line(item.label, item.colour, item))],
      bands,
      hooks: {
        drawClear: [eventBands(events)],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (!onZoom || width < 8) return;
            onZoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
            plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          },
        ],
      },
    },
    [[], ...series.map(() => [])],
  );
  return {
    remove: fit.remove,
    show(rows, step, since, until) {
      fit.plot.batch(() => {
        fit.plot.setData(withGaps(rows, gapOf(rows[0], step)), false);
        fit.plot.setScale("x", { min: since, max: until });
      });
    },
  };
}

export const scoreSeries = () => [
  { label: "score", colour: style("accent"), width: 2 },
  { label: "lowest", colour: "transparent", width: 0 },
  { label: "highest", colour: "transparent", width: 0 },
  { label: "normal", colour: style("faint"), dash: [6, 5], width: 1 },
];

export const scoreBands = () => [{ series: [3, 2], fill: style("spread") }];

export const colour = (number) => style(["accent", "poor", "excellent", "bad", "fair", "good"][number % 6]);

// A line without axes, over the last `span` seconds. `show` takes times and scores.
export function sparkline(host, span) {
  const fit = fitted(
    host,
    {
      height: 44,
      cursor: { show: false },
      legend: { show: false },
      padding: [4, 0, 4, 0],
      scales: { x: { time: true, auto: false }, y: { range: [0, 100] } },
      axes: [{ show: false }, { show: false }],
      series: [{}, line("score", style("accent"), { fill: style("spread") })],
    },
    [[], []],
  );
  return {
    remove: fit.remove,
    show(times, scores) {
      fit.plot.batch(() => {
        fit.plot.setData(withGaps([times, scores], gapOf(times, 60)), false);
        fit.plot.setScale("x", { min: Date.now() / 1000 - span, max: Date.now() / 1000 });
      });
    },
  };
}
