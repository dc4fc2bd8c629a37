// Helpers for the page: elements, requests, formatting. All text is inserted as text, never as HTML.

import { day, time } from "./curves.js";

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

let ahead = 0; // seconds by which the monitor's clock is ahead of the browser's

// Note what time it is where the cameras are: "an hour ago" is meant by that clock.
function follow(date) {
  const seconds = (Date.parse(date) - Date.now()) / 1000;
  if (!Number.isNaN(seconds)) ahead = Math.abs(seconds) > 5 ? seconds : 0; // the header has whole seconds
}

// The present, Unix seconds.
export const now = () => Date.now() / 1000 + ahead;

export async function getJson(path, parameters = {}) {
  const query = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const response = await fetch(`${path}?${new URLSearchParams(query)}`);
  follow(response.headers.get("date"));
  if (response.status === 401) location.reload(); // the token has changed: the server responds with its form
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Commands carry a header, which no other site's page may send.
export const post = (path, parameters) =>
  fetch(`${path}?${new URLSearchParams(parameters)}`, { method: "POST", headers: { "x-dpiqa": "page" } });

// A command in the name of the person, who is asked for it once.
export async function ask(path, parameters) {
  const by = nameField().value.trim();
  const response = await post(path, by ? { ...parameters, by } : parameters);
  const note = document.getElementById("note");
  note.textContent = response.ok ? "" : `not done: ${(await response.json().catch(() => ({}))).detail ?? response.status}`;
}

const nameField = () => document.getElementById("person");

// The field for the person's name, kept by the browser.
export function keepName() {
  nameField().value = localStorage.getItem("dpiqa-person") ?? "";
  nameField().onchange = () => localStorage.setItem("dpiqa-person", nameField().value.trim());
}

// "ImageTooDark" and "clipped_low" as words.
export const words = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();

export const number = (value) => (Number.isInteger(value) ? String(value) : Number(value.toPrecision(3)).toString());

// What stands for the score where a frame is black, white or of one colour.
export const noPicture = (kind) => `no picture (${kind})`;

export const points = (score) => (score === null || score === undefined ? "–" : score.toFixed(1));

// Scores per second, and how many are asked for where they are clearly fewer.
export function rate({ fps, asked_fps: asked }) {
  if (fps === null) return "–";
  return asked && fps < 0.8 * asked ? `${fps.toFixed(1)} of ${asked.toFixed(1)}` : fps.toFixed(1);
}

export function when(seconds) {
  const today = new Date(now() * 1000).toDateString() === new Date(seconds * 1000).toDateString();
  return today ? time(seconds) : `${day(seconds)}, ${time(seconds)}`;
}

export function duration(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// Calls `act` after `delay` ms, once for all requests in that time.
export function debounced(act, delay) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      act();
    }, delay);
  };
}
