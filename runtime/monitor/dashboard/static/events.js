// Events as a list: what, where, since when, by what evidence.

import { duration, el, number, when, words } from "./dom.js";

export function eventList(events, namesCamera) {
  if (!events.length) return el("p", { className: "hint", textContent: "No events." });
  return el("ul", { className: "events" }, ...events.map((event) => row(event, namesCamera)));
}

function row(event, namesCamera) {
  const lasted = duration((event.ended ?? Date.now() / 1000) - event.began);
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
      el("b", { textContent: named(event) }),
      namesCamera ? el("a", { href: cameraLink(event.source), textContent: ` ${event.source}` }) : null,
      el("small", { textContent: `${when(event.began)}, ${event.ended === null ? `for ${lasted} now` : lasted}` }),
      el("small", { textContent: evidence.join(", ") }),
    ),
  );
}

// What an event is, and of what cause where that is known.
export const named = ({ kind, evidence: { likely_cause } }) => words(kind) + (likely_cause ? `: ${words(likely_cause)}` : "");

export const cameraLink = (source) => `#${new URLSearchParams({ camera: source })}`;
