// The chart of causes: the strongest few, each named where its line ends; the others are a click in the legend away.

import { timeChart } from "./charts.js";
import { style } from "./curves.js";
import { words } from "./dom.js";

const MOST = 4;
const APART_DEGREES = 108; // on the wheel of hues: ten causes, none near the one before
const LABELS_WIDTH = 112; // px
const LINE_HEIGHT = 14; // px

// Neighbours on the wheel have different lightness, too.
const hue = (number) => `hsl(${(210 + APART_DEGREES * number) % 360} 75% ${style(number % 2 ? "cause-odd" : "cause-even")})`;

export function causeChart(host, names, options) {
  const series = names.map((name, number) => ({ label: words(name), colour: hue(number), show: false }));
  let isChoosing = false;
  let isChosen = false; // by a person: stays so
  const hooks = { draw: [endLabels], setSeries: [() => (isChosen ||= !isChoosing)] };
  const chart = timeChart(host, series, { ...options, range: [0, 1], height: 200, right: LABELS_WIDTH, hooks });
  return {
    ...chart,
    show(rows, step, since, until) {
      chart.show(rows, step, since, until);
      if (isChosen) return;
      const peaks = rows.slice(1).map((values) => values.reduce((peak, value) => Math.max(peak, value ?? 0), 0));
      const strongest = new Set([...peaks.keys()].sort((a, b) => peaks[b] - peaks[a]).slice(0, MOST));
      isChoosing = true;
      chart.plot.batch(() => {
        peaks.forEach((_, number) => {
          const show = strongest.has(number);
          if (chart.plot.series[number + 1].show !== show) chart.plot.setSeries(number + 1, { show });
        });
      });
      isChoosing = false;
    },
  };
}

// Writes the name of each line to the right of its last point, one below the other where they meet.
function endLabels(plot) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const labels = [];
  plot.series.forEach(({ show, label, stroke }, number) => {
    const value = number && show ? plot.data[number].findLast((one) => one !== null && one !== undefined) : undefined;
    if (value !== undefined) labels.push({ label, colour: stroke(plot, number), y: plot.valToPos(value, "y", true) });
  });
  labels.sort((a, b) => a.y - b.y);
  const lowest = bbox.top + bbox.height - (labels.length - 1) * LINE_HEIGHT * scale;
  ctx.save();
  ctx.font = `600 ${12 * scale}px system-ui`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  let free = bbox.top;
  labels.forEach(({ label, colour, y }, place) => {
    const at = Math.min(Math.max(y, free), lowest + place * LINE_HEIGHT * scale);
    free = at + LINE_HEIGHT * scale;
    ctx.fillStyle = colour;
    ctx.fillText(label, bbox.left + bbox.width + 6 * scale, at, (LABELS_WIDTH - 8) * scale);
  });
  ctx.restore();
}
