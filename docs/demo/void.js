// The one rule for a picture in which there is nothing to see; runtime/void.py states it.
import { resizeArea } from "./resize.js";

const LONGEST_SIDE = 480, PATCH = 8, CROP = 256;

function noiseOf({ data, width, height }, channel) {
  const at = (x, y) => data[(y * width + x) * 3 + channel];
  let sum = 0;
  for (let y = 1; y + 1 < height; y++)
    for (let x = 1; x + 1 < width; x++) {
      const corners = at(x - 1, y - 1) + at(x + 1, y - 1) + at(x - 1, y + 1) + at(x + 1, y + 1);
      const cross = at(x, y - 1) + at(x - 1, y) + at(x + 1, y) + at(x, y + 1);
      sum += Math.abs(corners - 2 * cross + 4 * at(x, y));
    }
  return (Math.sqrt(Math.PI / 2) / 6 * sum) / ((width - 2) * (height - 2));
}

function summary({ data }, channel) {
  let least = 255, most = 0, sum = 0;
  for (let i = channel; i < data.length; i += 3) {
    least = Math.min(least, data[i]);
    most = Math.max(most, data[i]);
    sum += data[i];
  }
  return { range: most - least, mean: sum / (data.length / 3) };
}

function middle(image) {
  const width = Math.min(CROP, image.width), height = Math.min(CROP, image.height);
  const left = Math.floor((image.width - width) / 2), top = Math.floor((image.height - height) / 2);
  const data = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 3; channel++)
        data[(y * width + x) * 3 + channel] = image.data[((top + y) * image.width + left + x) * 4 + channel];
  return { data, width, height };
}

// `image` is ImageData. Returns "black", "white", "flat", or null for a picture that shows something.
export function voidOf(image) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
  const side = pixels => Math.max(PATCH, Math.round(pixels * scale));
  const small = resizeArea(image, side(image.width), side(image.height));
  const patches = resizeArea(small, Math.max(1, Math.floor(small.width / PATCH)), Math.max(1, Math.floor(small.height / PATCH)), 3);
  const crop = middle(image), means = [];
  for (let channel = 0; channel < 3; channel++) {
    const noise = noiseOf(small, channel), { range, mean } = summary(small, channel);
    if (noise > 12 || noiseOf(crop, channel) > 48 || range > 24 + 10 * noise) return null;
    if (summary(patches, channel).range > 6.5 + 1.5 * noise) return null;
    means.push(mean);
  }
  const luma = 0.299 * means[0] + 0.587 * means[1] + 0.114 * means[2];
  return luma <= 24 ? "black" : luma >= 232 ? "white" : "flat";
}
