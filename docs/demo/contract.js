// The contract in an ONNX file, the document under the metadata key `dpiqa`, and the input shape that it means for a picture.
const METADATA = 14, KEY = 1, VALUE = 2;

function* fields(bytes) {
  let place = 0;
  const varint = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = bytes[place++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (place < bytes.length) {
    const tag = varint(), wire = tag % 8;
    if (wire === 0) varint();
    else if (wire === 1) place += 8;
    else if (wire === 5) place += 4;
    else if (wire === 2) {
      const size = varint();
      yield [Math.floor(tag / 8), bytes.subarray(place, place + size)];
      place += size;
    } else throw new Error("not an ONNX file");
  }
}

export function contractOf(file) {
  const text = new TextDecoder();
  for (const [number, entry] of fields(new Uint8Array(file))) {
    if (number !== METADATA) continue;
    const pair = new Map([...fields(entry)].map(([part, bytes]) => [part, text.decode(bytes)]));
    if (pair.get(KEY) === "dpiqa") return JSON.parse(pair.get(VALUE));
  }
  throw new Error("the model file carries no contract");
}

// Of the shapes that the contract lists that of the nearest aspect by logarithm, of equally near ones the first.
export function shapeFor({ height, width, other_shapes = [] }, image) {
  const apart = shape => {
    const one = image.width * shape.height, other = image.height * shape.width;
    return Math.max(one, other) / Math.min(one, other);
  };
  return other_shapes.reduce((best, shape) => (apart(shape) < apart(best) ? shape : best), { height, width });
}
