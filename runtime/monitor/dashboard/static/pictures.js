// The pictures of an event in full size: before, when it was raised, and after.

import { el, when } from "./dom.js";

const LABELS = { before: "before", picture: "when it was raised", after: "after" };

export function openPictures(event) {
  const parts = Object.keys(LABELS).filter((part) => event.pictures.includes(part));
  if (!parts.length) parts.push("thumbnail");
  const image = el("img", { alt: "" });
  const show = (part) => {
    image.src = `api/events/${event.number}/${part}`;
    image.alt = `${event.title}, ${LABELS[part] ?? ""}`;
    for (const button of buttons) button.ariaPressed = String(button.dataset.part === part);
  };
  const buttons = parts.map((part) =>
    el("button", { textContent: LABELS[part] ?? "picture", data: { part }, onclick: () => show(part) }),
  );
  const dialog = el(
    "dialog",
    { className: "pictures", ariaLabel: `Pictures: ${event.title}`, onclose: () => dialog.remove() },
    el(
      "div",
      { className: "top" },
      el("b", { textContent: `${event.title}, ${event.source}` }),
      el("span", { className: "hint", textContent: `${when(event.began)}. ${event.text}` }),
      el("div", { className: "ranges" }, ...buttons, el("button", { textContent: "close", onclick: () => dialog.close() })),
    ),
    image,
  );
  document.body.append(dialog);
  show(parts.includes("picture") ? "picture" : parts[0]);
  dialog.showModal();
}
