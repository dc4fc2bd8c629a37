"""Netpbm's portable maps (P1 to P7), each scaled by the largest value that its header states."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(rb"(?:\s|#[^\n]*(?:\n|\Z))*([^\s#]+)")
_LONGEST_HEADER = 65536
_PLAIN = frozenset({b"P1", b"P2", b"P3"})


class Portable(NamedTuple):
    """A map's header: its size, samples a pixel, the largest value, and where its samples begin."""

    magic: bytes
    width: int
    height: int
    depth: int
    largest: int
    place: int


def portable_header(data: bytes) -> Portable:
    """Read the header of a portable map. Raises ValueError if it is damaged."""
    magic, head = data[:2], data[:_LONGEST_HEADER]
    if magic == b"P7":
        return _arbitrary_header(head)
    numbers, place = [], 2
    for _ in range(2 if magic in (b"P1", b"P4") else 3):
        token = _TOKEN.match(head, place)
        if token is None:
            raise ValueError("a short header")
        numbers.append(_positive(token[1]))
        place = token.end()
    largest = numbers[2] if len(numbers) == 3 else 1
    return _checked(Portable(magic, numbers[0], numbers[1], 3 if magic in (b"P3", b"P6") else 1, largest, place + 1))


def read_portable(data: bytes, header: Portable) -> NDArray[np.uint8]:
    """Decode a portable map to uint8 `[h, w]`, or `[h, w, 3]` in BGR, `[h, w, 4]` with alpha. ValueError if cut off."""
    width, height, depth = header.width, header.height, header.depth
    if header.magic == b"P4":
        row = (width + 7) // 8
        bits = np.frombuffer(data, np.uint8, row * height, header.place).reshape(height, row)
        return (1 - np.unpackbits(bits, axis=1)[:, :width]) * np.uint8(255)
    if header.magic in _PLAIN:
        values = _plain(data[header.place - 1 :], width * height * depth, header.magic == b"P1")
        if header.magic == b"P1":
            values = 1 - values
    else:
        kind = ">u2" if header.largest > 255 else "u1"
        values = np.frombuffer(data, kind, width * height * depth, header.place)
    pixels = _scaled(values, header.largest).reshape(height, width, depth)
    if depth == 1:
        return pixels[..., 0]
    if depth == 2:
        return pixels[..., [0, 0, 0, 1]]
    return pixels[..., [2, 1, 0] if depth == 3 else [2, 1, 0, 3]]


def _scaled(values: NDArray[np.integer], largest: int) -> NDArray[np.uint8]:
    table = np.minimum(np.rint(np.arange(65536 if largest > 255 else 256) * (255 / largest)), 255).astype(np.uint8)
    return table[values]


def _plain(text: bytes, count: int, are_bits: bool) -> NDArray[np.integer]:
    text = re.sub(rb"#[^\n]*", b"", text)
    words = re.findall(rb"[01]", text) if are_bits else text.split()
    if len(words) < count:
        raise ValueError("cut off")
    values = np.array([int(word) for word in words[:count]])
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("a value out of range")
    return np.minimum(values, 1) if are_bits else values


def _arbitrary_header(head: bytes) -> Portable:
    end = head.find(b"ENDHDR\n")
    if end < 0:
        raise ValueError("a header without its end")
    lines = (line.split(None, 1) for line in head[3:end].splitlines() if not line.startswith(b"#"))
    fields = {line[0]: line[1] for line in lines if len(line) == 2}
    names = (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
    width, height, depth, largest = (_positive(fields.get(name, b"")) for name in names)
    return _checked(Portable(b"P7", width, height, depth, largest, end + 7))


def _positive(text: bytes) -> int:
    text = text.strip()
    if not text.isdigit() or len(text) > 9 or int(text) == 0:
        raise ValueError("a number out of range")
    return int(text)


def _checked(header: Portable) -> Portable:
    if header.largest > 65535 or header.depth > 4:
        raise ValueError("a number out of range")
    return header
