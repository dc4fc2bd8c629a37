"""One opened model under the load of a site: latency frame by frame, many cameras at once, hours of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from collect import first_line
from reference import made_up

from dpiqa.native import Model, Result
from dpiqa.runtime.spec import InputSpec

HD = (1920, 1080)


@dataclass(frozen=True)
class Site:
    """So many cameras with `fps` frames a second each or, where that is None, with the next frame always ready."""

    cameras: int
    fps: float | None
    seconds: float


def nv12(bgr: np.ndarray) -> np.ndarray:
    """BGR uint8 `[h, w, 3]` as a decoder gives it: NV12 `[h * 3 / 2, w]`, BT.601 limited."""
    height, width = bgr.shape[:2]
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    chroma = planar[height:].reshape(2, -1).T
    return np.concatenate([planar[:height], chroma.reshape(height // 2, width)])


def video_frames(count: int) -> list[np.ndarray]:
    """1080p NV12 frames in host memory."""
    return [nv12(cv2.resize(picture, HD)) for picture in made_up(count, InputSpec(height=270, width=480))]


def score(model: Model, frame: np.ndarray) -> Result:
    """The result for one NV12 frame."""
    return model.score(frame, "nv12", "bt601-limited")


def latency(model: Model, frame: np.ndarray, small: np.ndarray, repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of one caller: of `frame`, which is preprocessed, and of RGB `small` at the model's size."""
    callers = {"1080p NV12": partial(score, model, frame), "model's size": partial(model.score, small, "rgb")}
    for name, call in callers.items():
        results, took = [], []
        for _ in range(repeats + 3):
            began = time.perf_counter()
            results.append(call())
            took.append(1000 * (time.perf_counter() - began))
        yield {
            "frames": name,
            "repeats": repeats,
            **percentiles(took[3:]),
            "preprocess_p50_ms": float(np.median([result.preprocess_ms for result in results[3:]])),
            "infer_p50_ms": float(np.median([result.infer_ms for result in results[3:]])),
        }


def percentiles(took_ms: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {"p50_ms": float(np.percentile(took_ms, 50)), "p99_ms": float(np.percentile(took_ms, 99))}


@dataclass
class _Camera:
    """What became of one camera's frames: milliseconds from a frame's time to its score, and how many had none."""

    took_ms: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    dropped: int = 0

    def run(self, model: Model, frame: np.ndarray, fps: float | None, due: float, end: float) -> _Camera:
        """Score the newest frame that has come, as a live source does."""
        while due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            self.scores.append(score(model, frame).score)
            now = time.perf_counter()
            self.took_ms.append(1000 * (now - due))
            missed = max(0, int((now - due) * fps) - 1) if fps else 0
            self.dropped += missed
            due = due + (missed + 1) / fps if fps else now
        return self


def scores(model: Model, frames: list[np.ndarray]) -> list[float]:
    """Of each frame alone."""
    return [score(model, frame).score for frame in frames]


def watch(model: Model, frames: list[np.ndarray], alone: list[float], site: Site) -> dict[str, Any]:
    """Score the site's cameras, a thread and a frame of its own each, and compare with the scores of frames alone."""
    own = [frames[camera % len(frames)].copy() for camera in range(site.cameras)]
    stagger = 1 / site.fps / site.cameras if site.fps else 0.0
    began = time.perf_counter()
    with ThreadPoolExecutor(site.cameras) as pool:
        started = [
            pool.submit(_Camera().run, model, frame, site.fps, began + place * stagger, began + site.seconds)
            for place, frame in enumerate(own)
        ]
        cameras = [running.result() for running in started]
    seconds = time.perf_counter() - began
    took = [ms for camera in cameras for ms in camera.took_ms]
    apart = [abs(value - alone[place % len(frames)]) for place, camera in enumerate(cameras) for value in camera.scores]
    return {
        "cameras": site.cameras,
        "fps": site.fps,
        "seconds": seconds,
        "frames": len(took),
        "fewest_frames_of_a_camera": min(len(camera.took_ms) for camera in cameras),
        "dropped": sum(camera.dropped for camera in cameras),
        "frames_per_s": len(took) / seconds,
        **percentiles(took),
        "largest_ms": max(took),
        "largest_apart_points": max(apart),
    }


def memory() -> dict[str, float | None]:
    """What this process holds, and all that the GPU does where nvidia-smi says so."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    used = first_line("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    gpu = float(used) if used and used.strip().isdigit() else None
    return {"resident_mb": int(status["VmRSS"].split()[0]) / 1024, "gpu_memory_mb": gpu}


def soak(model: Model, frames: list[np.ndarray], site: Site) -> Iterator[dict[str, Any]]:
    """The site for all of its seconds: a row for about every minute."""
    minutes = max(1, round(site.seconds / 60))
    alone = scores(model, frames)
    for _ in range(minutes):
        yield watch(model, frames, alone, Site(site.cameras, site.fps, site.seconds / minutes)) | memory()
