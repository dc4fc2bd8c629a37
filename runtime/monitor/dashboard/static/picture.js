// The live picture of a camera with its score, state and quality map.

import { el, noPicture, points } from "./dom.js";

export class Picture {
  constructor(source) {
    this.source = source;
    this.image = el("img", { alt: "", hidden: true });
    this.map = el("img", { alt: "", hidden: true, className: "map" });
    this.score = el("span", { className: "badge score", hidden: true });
    this.state = el("span", { className: "badge state", hidden: true });
    this.node = el("div", { className: "picture" }, this.image, this.map, this.state, this.score);
    this.isVisible = true;
    new IntersectionObserver((entries) => (this.isVisible = entries.at(-1).isIntersecting)).observe(this.node);
  }

  update(camera) {
    this.state.hidden = camera.state === "up";
    this.state.textContent = camera.state;
    this.state.title = camera.reason;
    this.node.classList.toggle("stale", camera.state !== "up");
    if (this.image.hidden && camera.snapshot_time !== null) {
      this.snapshot({ wall_time: camera.snapshot_time, has_map: camera.has_map }, true);
    }
    if (camera.score === null) this.score.hidden = true;
    else this.reading(camera);
  }

  reading({ score, band, void: nothing, wall_time }) {
    this.score.hidden = false;
    this.score.textContent = nothing ? noPicture(nothing) : points(score);
    this.score.dataset.band = band;
    this.score.title = nothing ?? band;
    this.score.dataset.wallTime = wall_time;
  }

  snapshot({ wall_time, has_map }, isFirst = false) {
    if (!isFirst && (!this.isVisible || document.hidden)) return;
    const query = new URLSearchParams({ source: this.source, at: wall_time });
    this.image.src = `api/thumbnail?${query}`;
    this.image.hidden = false;
    this.map.hidden = !has_map;
    if (has_map) this.map.src = `api/map?${query}`;
  }
}
