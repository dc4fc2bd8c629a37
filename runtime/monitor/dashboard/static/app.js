// Selects the view by the URL, and keeps it up to date from the stream and the API.

import { debounced, getJson, keepName } from "./dom.js";
import { Detail } from "./detail.js";
import { needsLook } from "./events.js";
import { Overview } from "./overview.js";

const host = document.getElementById("view");
const link = document.getElementById("link");
let view = null;
let stream = null;
let readings = new Map(); // the latest of each camera that is not displayed yet

function open() {
  view?.remove();
  const source = new URLSearchParams(location.hash.slice(1)).get("camera");
  view = source === null ? new Overview(host) : new Detail(host, source);
  scrollTo(0, 0);
  refresh();
}

async function refresh() {
  const cameras = await getJson("api/cameras");
  view.cameras(cameras);
  const inTrouble = cameras.filter(needsLook).length;
  const count = `${cameras.length} camera${cameras.length === 1 ? "" : "s"}`;
  document.getElementById("summary").textContent = inTrouble ? `${count}, ${inTrouble} in trouble` : count;
  document.title = inTrouble ? `(${inTrouble}) dpiqa monitor` : "dpiqa monitor";
  document.getElementById("map-switch").hidden = !cameras.some((camera) => camera.has_map);
}

const refreshSoon = debounced(refresh, 300);

function show() {
  const latest = [...readings.values()];
  readings = new Map();
  for (const reading of latest) view.reading(reading);
}

function listen() {
  stream = new EventSource("api/stream");
  const on = (name, act) => stream.addEventListener(name, (message) => act(JSON.parse(message.data)));
  on("hello", () => {
    setLink("live");
    refreshSoon();
  });
  on("reading", (reading) => {
    if (!readings.size) requestAnimationFrame(show);
    readings.set(reading.source, reading);
  });
  on("snapshot", (snapshot) => view.snapshot(snapshot));
  on("status", refreshSoon);
  on("event", (event) => {
    view.event(event);
    refreshSoon();
  });
  on("action", refreshSoon);
  on("lost", refreshSoon);
  stream.onerror = () => {
    setLink("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    getJson("api/health").catch(() => {}); // if the token has changed, this asks for the new one
  };
}

function setLink(state) {
  link.dataset.state = state;
  link.textContent = state === "lost" ? "no connection" : state;
}

addEventListener("hashchange", open);
document.getElementById("show-map").onchange = ({ target }) => document.body.classList.toggle("no-map", !target.checked);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", open); // charts use the theme's colours
document.addEventListener("visibilitychange", () => {
  stream?.close();
  if (document.hidden) return;
  listen(); // a hidden page would occupy one of a browser's few connections to a server
  open();
});
setInterval(() => document.hidden || refresh().catch(() => {}), 5000);
keepName();
await getJson("api/health").catch(() => {}); // what time it is there
open();
listen();
