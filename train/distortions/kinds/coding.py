"""Distortions by coding and transmission: codecs, low resolution, few bits, lost packets."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np
from scipy.fft import dctn, idctn

from dpiqa.train.distortions.kinds.base import distortion, to_uint8, unit

_MACROBLOCK = 16
_SMALLEST_FRAME = 64
_MOVE = 2


@distortion("compression", 45, 27, 16, 9, 4)
def jpeg(image: np.ndarray, quality: int, _: np.random.Generator) -> np.ndarray:
    """JPEG at libjpeg's `quality`."""
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


@distortion("compression", 31, 36, 41, 46, 51)
def h264(image: np.ndarray, crf: int, rng: np.random.Generator) -> np.ndarray:
    """H.264 at x264's constant rate factor `crf`, deblocking off as in cheap encoders; a predicted frame."""
    return _video(image, "libx264", {"crf": str(crf), "x264-params": "no-deblock=1:bframes=0:threads=1"}, rng)


@distortion("compression", 32, 37, 42, 46, 51)
def hevc(image: np.ndarray, crf: int, rng: np.random.Generator) -> np.ndarray:
    """HEVC at x265's constant rate factor `crf`: smears and large blocks; a predicted frame."""
    options = {"crf": str(crf), "x265-params": "log-level=none:bframes=0:pools=none:frame-threads=1"}
    return _video(image, "libx265", options, rng)


@distortion("compression", 20, 13, 9, 6, 4)
def banding(image: np.ndarray, steps: int, _: np.random.Generator) -> np.ndarray:
    """Every channel has only `steps` values left: smooth areas break into bands."""
    table = to_uint8(np.round(np.arange(256) / 255 * (steps - 1)) * 255 / (steps - 1))
    return cv2.LUT(image, table)


@distortion("compression", 0.5, 0.36, 0.26, 0.18, 0.12)
def ringing(image: np.ndarray, cutoff: float, _: np.random.Generator) -> np.ndarray:
    """An ideal low pass at `cutoff` of the Nyquist frequency, as in wavelet and analogue coding: waves beside edges."""
    height, width = image.shape[:2]
    waves = np.asarray(dctn(image.astype(np.float32), axes=(0, 1), norm="ortho"))
    frequency = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)
    waves[frequency > cutoff / max(unit(image), 1e-3)] = 0
    return to_uint8(np.asarray(idctn(waves, axes=(0, 1), norm="ortho")))


@distortion("blur", 1.6, 2.3, 3.3, 5.0, 8.0)
def upscaling(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """Recorded with `factor` times fewer pixels each way, then enlarged."""
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(
        cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC
    )


@distortion("blur", (2, 45), (3, 60), (4, 85), (5, 120), (6, 190))
def denoise_smear(image: np.ndarray, strength: tuple[float, float], _: np.random.Generator) -> np.ndarray:
    """A denoiser that is too strong: texture melts, edges stay. Radius in pixels, deviation in values."""
    reach, tolerance = strength
    return cv2.bilateralFilter(
        image, 2 * max(1, round(reach * max(unit(image), 0.5))) + 1, tolerance, reach * unit(image) + 1
    )


@distortion("transmission", 0.06, 0.14, 0.27, 0.46, 0.75)
def packet_loss(image: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Slices are lost: from some macroblock on, a row repeats the line above, or shows another part of the picture."""
    height, width = image.shape[:2]
    rows = -(-height // _MACROBLOCK)
    order = np.argsort(rng.random(rows))
    starts, kinds = rng.random(rows), rng.random(rows)
    shifts = rng.integers(-3 * _MACROBLOCK, 3 * _MACROBLOCK, (rows, 2))
    result = image.copy()
    for row in sorted(order[: int(np.ceil(fraction * rows))]):
        top, left = row * _MACROBLOCK, int(starts[row] ** 2 * width) // _MACROBLOCK * _MACROBLOCK
        bottom = min(top + _MACROBLOCK, height)
        if kinds[row] < 0.5:
            result[top:bottom, left:] = result[max(top - 1, 0), left:]
        else:
            down = (np.arange(top, bottom) + shifts[row, 1]).clip(0, height - 1)
            across = (np.arange(left, width) + shifts[row, 0]).clip(0, width - 1)
            result[top:bottom, left:] = image[down[:, None], across]
    return result


@distortion("transmission", 2, 4, 8, 14, 24)
def interlacing(image: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Two fields of a moving view in one frame: every second line is displaced by `shift` pixels."""
    direction = 1 if rng.random() < 0.5 else -1
    pixels = max(1, round(shift * unit(image)))
    columns = (np.arange(image.shape[1]) + direction * pixels).clip(0, image.shape[1] - 1)
    result = image.copy()
    result[1::2] = image[1::2][:, columns]
    return result


def _video(image: np.ndarray, codec: str, options: dict[str, str], rng: np.random.Generator) -> np.ndarray:
    """Encode a slightly shifted copy and then the picture, decode both, return the second."""
    height, width = image.shape[:2]
    padding = [(0, max(_SMALLEST_FRAME - side, side % 2)) for side in (height, width)]
    current = np.pad(image, [*padding, (0, 0)], mode="edge")
    around = np.pad(current, [(_MOVE, _MOVE), (_MOVE, _MOVE), (0, 0)], mode="edge")
    top, left = rng.integers(0, 2 * _MOVE + 1, 2)
    previous = np.ascontiguousarray(around[top : top + current.shape[0], left : left + current.shape[1]])
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=25, options={"preset": "ultrafast"} | options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *current.shape[:2], "yuv420p"
        for pixels in (previous, current):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r", format="nut") as container:
        *_, frame = container.decode(video=0)
        return np.ascontiguousarray(frame.to_ndarray(format="bgr24")[:height, :width])
