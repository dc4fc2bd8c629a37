// Events as a list: kind, camera, time, evidence in words, pictures, and what was done about them.

import { ask, duration, el, now, when } from "./dom.js";
import { openPictures } from "./pictures.js";

export function eventList(events, withCamera) {
  if (!events.length) return el("p", { className: "hint", textContent: "No events." });
  return el("ul", { className: "events" }, ...events.map((event) => row(event, withCamera)));
}

function row(event, withCamera) {
  const length = duration((event.ended ?? now()) - event.began);
  const times = `${when(event.began)}, ${event.ended === null ? `for ${length} so far` : length}`;
  return el(
    "li",
    { className: event.ended === null && !event.muted ? "sheet open" : "sheet", data: { event: event.number } },
    event.pictures.includes("thumbnail")
      ? el(
          "button",
          { className: "thumbnail", ariaLabel: `Open the pictures: ${event.title}, ${event.source}`, onclick: () => openPictures(event) },
          el("img", { src: `api/events/${event.number}/thumbnail`, alt: "", loading: "lazy" }),
        )
      : el("div", { className: "blank" }),
    el(
      "div",
      {},
      el("b", { textContent: event.title }),
      ...(withCamera ? [" ", el("a", { href: cameraLink(event.source), textContent: event.source })] : []),
      el("small", { textContent: times }),
      el("small", { textContent: event.text }),
      event.muted ? el("small", { textContent: "muted" }) : null,
      event.acknowledged_by
        ? el("small", { textContent: `acknowledged by ${event.acknowledged_by}, ${when(event.acknowledged)}` })
        : null,
    ),
  );
}

// A current event of a camera as a label, with its evidence, or with `details`.
export const chip = (event, details = "") =>
  el("span", {
    className: event.muted || event.acknowledged_by ? "chip quiet" : "chip",
    textContent: event.title + details + (event.muted ? ", muted" : event.acknowledged_by ? `, ${event.acknowledged_by} knows` : ""),
    title: event.text,
  });

const ACTIONS = { accept: "accepted the view", acknowledge: "acknowledged", mute: "muted", unmute: "ended the mute" };

export function actionList(actions) {
  const line = ({ by, action, kind, until, wall_time }) =>
    `${when(wall_time)}: ${by} ${ACTIONS[action] ?? action}${kind ? ` ${kind}` : ""}${until ? ` until ${when(until)}` : ""}`;
  return el("ul", { className: "plain" }, ...actions.map((action) => el("li", { textContent: line(action) })));
}

export const cameraLink = (source) => `#${new URLSearchParams({ camera: source })}`;

// Whether somebody ought to look: something is wrong that nobody knows of, and that is not muted.
export const needsLook = ({ state, events, muted_until: muted }) =>
  muted === null &&
  (events.some((event) => !event.muted && !event.acknowledged_by) ||
    (["down", "stalled"].includes(state) && !events.some((event) => event.kind === "SignalLoss")));

// The buttons of a camera: acknowledge what is wrong, mute, accept a view.
export function commandButtons(camera) {
  const { source } = camera;
  const button = (textContent, path, parameters = {}) =>
    el("button", { textContent, onclick: () => ask(path, { source, ...parameters }) });
  const minutes = el(
    "select",
    { ariaLabel: "How long to mute", onchange: () => minutes.value && ask("api/mute", { source, minutes: minutes.value }) },
    el("option", { value: "", textContent: "mute for…" }),
    ...Object.entries({ "30 minutes": 30, "2 hours": 120, "8 hours": 480, "a day": 1440, "a week": 10080 }).map(([textContent, value]) =>
      el("option", { value, textContent }),
    ),
  );
  return [
    camera.events.some((event) => !event.acknowledged_by) ? button("acknowledge", "api/acknowledge") : null,
    camera.events.some(({ kind }) => kind === "GlobalSceneChange") ? button("accept this view", "api/accept") : null,
    camera.muted_until === null ? minutes : button("end the mute", "api/unmute"),
  ];
}
