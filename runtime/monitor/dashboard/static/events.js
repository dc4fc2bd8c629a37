// Events as a list: kind, camera, time, evidence.

import { duration, el, number, when, words } from "./dom.js";

export function eventList(events, withCamera) {
  if (!events.length) return el("p", { className: "hint", textContent: "No events." });
  return el("ul", { className: "events" }, ...events.map((event) => row(event, withCamera)));
}

function row(event, withCamera) {
  const length = duration((event.ended ?? Date.now() / 1000) - event.began);
  const evidence = Object.entries(event.evidence)
    .filter(([name]) => name !== "pts_s" && name !== "likely_cause")
    .map(([name, value]) => `${words(name)} ${typeof value === "number" ? number(value) : value}`);
  return el(
    "li",
    { className: event.ended === null ? "sheet open" : "sheet", data: { event: event.number } },
    event.has_thumbnail
      ? el("img", { src: `/api/events/${event.number}/thumbnail`, alt: "", loading: "lazy" })
      : el("div", { className: "blank" }),
    el(
      "div",
      {},
      el("b", { textContent: eventTitle(event) }),
      ...(withCamera ? [" ", el("a", { href: cameraLink(event.source), textContent: event.source })] : []),
      el("small", { textContent: `${when(event.began)}, ${event.ended === null ? `for ${length} so far` : length}` }),
      el("small", { textContent: evidence.join(", ") }),
    ),
  );
}

// The kind of an event, with its likely cause if there is one.
export const eventTitle = ({ kind, evidence: { likely_cause } }) => words(kind) + (likely_cause ? `: ${words(likely_cause)}` : "");

export const cameraLink = (source) => `#${new URLSearchParams({ camera: source })}`;
