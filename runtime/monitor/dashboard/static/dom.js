// Small help with the page: elements, words for numbers and times. All text goes in as text, never as HTML.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export async function ask(path, parameters = {}) {
  const wanted = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const response = await fetch(`${path}?${new URLSearchParams(wanted)}`);
  if (response.status === 401) location.reload(); // the token has changed: the server answers with its form
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// "ImageTooDark" and "clipped_low" as words.
export const words = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();

export const number = (value) => (Number.isInteger(value) ? String(value) : Number(value.toPrecision(3)).toString());

// What stands for the score where a frame is black, white or of one colour.
export const noPicture = (kind) => `no picture (${kind})`;

export const points = (score) => (score === null || score === undefined ? "–" : score.toFixed(1));

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minuteClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const time = (seconds) => clock.format(seconds * 1000);

export const shortTime = (seconds) => minuteClock.format(seconds * 1000);

export const day = (seconds) => dayMonth.format(seconds * 1000);

export function when(seconds) {
  const today = new Date().toDateString() === new Date(seconds * 1000).toDateString();
  return today ? time(seconds) : `${day(seconds)}, ${time(seconds)}`;
}

export function duration(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// Calls `act` soon, and once however often it is asked for within `delay` ms.
export function calmly(act, delay) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      act();
    }, delay);
  };
}
