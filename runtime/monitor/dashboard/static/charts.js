// Charts of a camera's curves, drawn by uPlot in the colours of the style sheet.

import { axes, eventBands, line, style, withGaps } from "./curves.js";
import { now, when } from "./dom.js";

function fitted(host, options, rows) {
  const { paddingLeft, paddingRight } = getComputedStyle(host);
  const room = () => Math.max(80, host.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
  const plot = new uPlot({ width: room(), ...options }, rows, host);
  const observer = new ResizeObserver(() => {
    const width = room();
    if (width !== plot.width) plot.setSize({ width, height: options.height });
  });
  observer.observe(host);
  return {
    plot,
    remove() {
      observer.disconnect();
      plot.destroy();
    },
  };
}

// A chart of `series` ([{label, colour, ...}]) with time on the x axis; `show` takes rows, step and the x range.
export function timeChart(host, series, { height = 240, range = null, bands = [], events = () => [], onZoom = null, sync = "time", right = null, hooks = {} }) {
  const fit = fitted(
    host,
    {
      height,
      padding: [null, right, null, null],
      cursor: { sync: { key: sync }, drag: { x: Boolean(onZoom), y: false, setScale: false } },
      scales: { x: { time: true, auto: false }, y: { range: range ?? ((_, low, high) => [Math.min(0, low ?? 0), 1.1 * high || 1]) } },
      axes: axes(),
      series: [{ label: "time", value: (_, at) => (at ? when(at) : "–") }, ...series.map(line)],
      bands,
      hooks: {
        ...hooks,
        drawClear: [eventBands(events, now)],
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
    plot: fit.plot,
    show(rows, step, since, until) {
      fit.plot.batch(() => {
        fit.plot.setData(withGaps(rows, step), false);
        fit.plot.setScale("x", { min: since, max: until });
      });
    },
  };
}

export const baselineSeries = () => ({ label: "baseline", colour: style("faint"), dash: [6, 5], width: 1 });

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
      series: [{}, line({ label: "score", colour: style("accent"), fill: style("spread") })],
    },
    [[], []],
  );
  return {
    remove: fit.remove,
    show(times, scores) {
      fit.plot.batch(() => {
        fit.plot.setData(withGaps([times, scores], 60), false);
        fit.plot.setScale("x", { min: now() - span, max: now() });
      });
    },
  };
}
