// The choice of a time range: some lengths up to now, or any from and to, and the CSV of it.

import { el } from "./dom.js";

const RANGES = { "10 minutes": 600, hour: 3600, day: 86400, week: 7 * 86400 };

export class RangeChoice {
  // `onChoose` gets a length up to now in seconds, or null with a start and an end in Unix seconds.
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.buttons = Object.entries(RANGES).map(([textContent, seconds]) =>
      el("button", { textContent, data: { seconds }, onclick: () => this.choose(seconds) }),
    );
    const input = (ariaLabel) => el("input", { type: "datetime-local", step: 1, ariaLabel, onchange: () => this.choosePeriod() });
    this.from = input("from");
    this.to = input("to");
    this.problem = el("span", { className: "hint", role: "alert" });
    this.download = el("a", { className: "button", textContent: "CSV", download: "" });
    this.node = el("div", { className: "ranges" }, ...this.buttons, this.from, this.to, this.download, this.problem);
  }

  choose(seconds) {
    this.press(seconds);
    this.problem.textContent = "";
    this.onChoose(seconds);
  }

  press(seconds) {
    for (const button of this.buttons) button.ariaPressed = String(Number(button.dataset.seconds) === seconds);
  }

  choosePeriod() {
    const [since, until] = [this.from.value, this.to.value].map((text) => new Date(text).getTime() / 1000);
    if (Number.isNaN(since) || Number.isNaN(until)) return; // one is still empty
    if (until <= since) {
      this.problem.textContent = "from must be before to";
      return;
    }
    this.problem.textContent = "";
    this.press(null);
    this.onChoose(null, since, until);
  }

  // What is seen now, in the fields and as a link to its CSV.
  show(source, since, until) {
    if (document.activeElement !== this.from) this.from.value = local(since);
    if (document.activeElement !== this.to) this.to.value = local(until);
    this.link(source, since, until);
  }

  link(source, since, until) {
    this.download.href = `api/csv?${new URLSearchParams({ source, since, until })}`;
    this.download.download = `${source.replace(/[^\w-]+/g, "_")}-${local(since).replaceAll(":", "")}.csv`;
  }
}

// Unix seconds as the value of a field for a local date and time.
function local(seconds) {
  const date = new Date(seconds * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
