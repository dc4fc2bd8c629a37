"""Make examples/clip.mp4: 20 s of 1080p panning over CC0 photographs, with four stretches of bad picture quality.

    git clone https://github.com/gianni-rosato/gb82-image-set
    python docs/pictures/make_clip.py gb82-image-set/png examples/clip.mp4

The photographs are from the gb82 image set (CC0). Needs PyAV (in the extra `test`) to encode H.264.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

from dpiqa.runtime.pictures import read_picture

WIDTH, HEIGHT, FPS, SECONDS = 1920, 1080, 25, 20
PICTURES = ("girl", "dog", "baby")


def blur(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus."""
    return cv2.GaussianBlur(frame, (0, 0), 14)


def noise(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A camera at its highest gain: grain coarse enough to survive the encoder and the resize to model size."""
    grain = rng.normal(0, 90, (HEIGHT // 8, WIDTH // 8)).astype(np.float32)
    return np.clip(frame + cv2.resize(grain, (WIDTH, HEIGHT))[..., None], 0, 255).astype(np.uint8)


def compression(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A starved link: a quarter of the resolution at the lowest usable JPEG quality."""
    small = cv2.resize(frame, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 5])
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return cv2.resize(decoded, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def darkness(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four stops underexposed."""
    return (frame.astype(np.float32) / 16).astype(np.uint8)


STRETCHES: tuple[tuple[float, float, Callable[[np.ndarray, np.random.Generator], np.ndarray]], ...] = (
    (2.5, 5.0, blur),
    (7.0, 9.5, noise),
    (11.5, 14.0, compression),
    (16.0, 18.0, darkness),
)


def main(pictures: Path, out: Path) -> None:
    """Pan once over the pictures, side by side, and write the clip."""
    tiles = [read_picture(pictures / f"{name}-lossless.png") for name in PICTURES]
    strip = np.hstack([cv2.resize(tile, (HEIGHT, HEIGHT), interpolation=cv2.INTER_CUBIC) for tile in tiles])
    rng = np.random.default_rng(0)
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "30", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1  # what swscale makes: BT.601, limited
        for number in range(FPS * SECONDS):
            left = (strip.shape[1] - WIDTH) * number / (FPS * SECONDS - 1)
            shift = np.array([[1, 0, -left], [0, 1, 0]], np.float32)
            frame = cv2.warpAffine(strip, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
            for begin, end, distort in STRETCHES:
                if begin <= number / FPS < end:
                    frame = distort(frame, rng)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame, np.uint8), "bgr24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
