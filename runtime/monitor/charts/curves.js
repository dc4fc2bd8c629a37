// What the charts of the dashboard and the report share: colours, gaps, axes, times, events. uPlot draws them.
// Imports nothing: the report, a single file, contains this text.

export const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const formats = (timeZone) => ({
  clock: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone }),
  minuteClock: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }),
  dayMonth: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone }),
});
let format = formats();

// Give times in a time zone, instead of the browser's.
export function useTimeZone(name) {
  format = formats(name);
}

export const time = (seconds) => format.clock.format(seconds * 1000);

const shortTime = (seconds) => format.minuteClock.format(seconds * 1000);

export const day = (seconds) => format.dayMonth.format(seconds * 1000);

function ticks(_, splits) {
  const span = splits[splits.length - 1] - splits[0];
  const isFine = splits.some((at, i) => i && at - splits[i - 1] < 60); // else two would read the same
  const text = span < 900 || isFine ? time : span < 36 * 3600 ? shortTime : null;
  return splits.map((at) => (text ? text(at) : shortTime(at) === "00:00" ? day(at) : shortTime(at)));
}

const axis = (options) => ({
  stroke: style("faint"),
  grid: { stroke: style("line"), width: 1 },
  ticks: { stroke: style("line"), width: 1 },
  font: "12px system-ui",
  ...options,
});

export const axes = () => [axis({ values: ticks, space: 70, size: 32 }), axis({ size: 48, space: 24 })];

// Steps further apart than this many seconds have a gap between them.
function gapLimit(times, step) {
  const spaces = times.slice(1).map((at, i) => at - times[i]).sort((a, b) => a - b);
  return Math.max(2.5 * step, 5 * (spaces[spaces.length >> 1] ?? 0));
}

// Rows [times, ...columns] of `step` seconds with an empty row in each gap, so that no line crosses it.
export function withGaps(rows, step) {
  const limit = gapLimit(rows[0], step);
  const cuts = [];
  for (let i = 1; i < rows[0].length; i++) if (rows[0][i] - rows[0][i - 1] > limit) cuts.push(i);
  if (!cuts.length) return rows;
  return rows.map((column, number) => {
    const values = [];
    let from = 0;
    for (const cut of cuts) {
      values.push(...column.slice(from, cut), number ? null : (column[cut - 1] + column[cut]) / 2);
      from = cut;
    }
    return values.concat(column.slice(from));
  });
}

// Shades the time of `events`; those that have not ended last until `end`, in Unix seconds.
export function eventBands(events, end) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = style("event");
    for (const { began, ended } of events()) {
      const left = Math.max(bbox.left, plot.valToPos(began, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(ended ?? end(), "x", true));
      if (right >= bbox.left && left <= bbox.left + bbox.width) {
        ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
      }
    }
    ctx.restore();
  };
}

export const line = ({ label, colour, ...options }) => ({
  label,
  stroke: colour,
  width: 1.6,
  points: { show: false },
  value: (_, value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4))),
  ...options,
});

export const scoreSeries = () => [
  { label: "score", colour: style("accent"), width: 2 },
  { label: "lowest", colour: "transparent", width: 0 },
  { label: "highest", colour: "transparent", width: 0 },
];

export const scoreBands = () => [{ series: [3, 2], fill: style("spread") }];
