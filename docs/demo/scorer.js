// One model file, from pixels to a reading, as `dpiqa score` does it.
import * as ort from "./vendor/ort.wasm.min.mjs";
import { contractOf, shapeFor } from "./contract.js";
import { resizeArea } from "./resize.js";
import { voidOf } from "./void.js";

const BANDS = [[20, "bad"], [40, "poor"], [60, "fair"], [80, "good"], [Infinity, "excellent"]];

ort.env.wasm.wasmPaths = new URL("./vendor/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

export class Scorer {
  static async open(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const file = await response.arrayBuffer();
    return new Scorer(contractOf(file), await ort.InferenceSession.create(file));
  }

  constructor(contract, session) {
    this.contract = contract;
    this.session = session;
  }

  // `image` is ImageData. The map is { values, width, height }, null without one and for a void picture.
  async score(image) {
    const began = performance.now(), { width, height } = shapeFor(this.contract.input, image);
    const nothing = voidOf(image);
    const { data } = resizeArea(image, width, height);
    const frames = new ort.Tensor("uint8", new Uint8Array(data.buffer), [1, height, width, 3]);
    const outputs = await this.session.run({ frames });
    const score = nothing ? 0 : outputs.score.data[0];
    const causes = nothing ? [] : (this.contract.causes ?? []).map((name, index) => [name, outputs.causes.data[index]]);
    const map = nothing || !outputs.map ? null
      : { values: outputs.map.data, height: outputs.map.dims[1], width: outputs.map.dims[2] };
    return { score, band: BANDS.find(([end]) => score < end)[1], void: nothing,
      causes: causes.sort((one, other) => other[1] - one[1]), map, milliseconds: performance.now() - began };
  }
}
