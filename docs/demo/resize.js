// The resize rule `area` of the model contract: per axis, shrink by area averaging, grow bilinearly, half-pixel centres.

function axis(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, index) => {
    if (to < from) {
      const start = index * scale, end = start + scale, taps = [];
      for (let at = Math.floor(start); at < Math.min(end, from); at++) {
        const share = (Math.min(at + 1, end) - Math.max(at, start)) / scale;
        if (share > 1e-9) taps.push([at, share]);
      }
      return taps;
    }
    const centre = Math.min(Math.max((index + 0.5) * scale - 0.5, 0), from - 1);
    const low = Math.floor(centre), share = centre - low;
    return share > 0 ? [[low, 1 - share], [low + 1, share]] : [[low, 1]];
  });
}

// `image` has `data` (uint8, `channels` samples a pixel), `width` and `height`. The result has the first `keep` of them.
export function resizeArea(image, width, height, channels = 4, keep = 3) {
  const columns = axis(image.width, width), rows = axis(image.height, height);
  const line = new Float64Array(image.width * channels);
  const data = new Uint8ClampedArray(width * height * keep);
  rows.forEach((taps, y) => {
    line.fill(0);
    for (const [at, share] of taps) {
      const start = at * line.length;
      for (let i = 0; i < line.length; i++) line[i] += share * image.data[start + i];
    }
    columns.forEach((places, x) => {
      for (let channel = 0; channel < keep; channel++) {
        let sum = 0;
        for (const [at, share] of places) sum += share * line[at * channels + channel];
        data[(y * width + x) * keep + channel] = Math.round(sum);
      }
    });
  });
  return { data, width, height };
}
