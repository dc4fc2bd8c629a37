"""The integrations of examples/ and docs/integrations.md against what they integrate with."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from dpiqa import InputError, Scorer

EXAMPLES = Path(__file__).parents[1] / "examples"
CLIP = EXAMPLES / "clip.mp4"
_GI = Path("/usr/lib/python3/dist-packages/gi")  # where Debian has GStreamer's Python, for its own Python


def example(path: str, name: str) -> ModuleType:
    """An example, as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(threads=1)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Three frames of the clip, RGB, uint8 `[3, h, w, 3]`."""
    from dpiqa.runtime.video import read_video

    frames = [np.ascontiguousarray(frame.pixels[::3, ::3, ::-1]) for frame in read_video(str(CLIP), fps=0.15)]
    return np.stack(frames[:3])


@pytest.mark.slow
def test_the_metric_of_torchmetrics_is_the_mean_of_all_batches(pictures: np.ndarray, scorer: Scorer) -> None:
    quality = example("torch_metrics.py", "torch_metrics").Quality()
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    quality.update(images[:2])
    quality.update(images[2:].float() / 255)
    readings = [scorer.score(np.ascontiguousarray(picture[..., ::-1])) for picture in pictures]
    scores = [reading.score for reading in readings]
    assert max(scores) - min(scores) > 5
    assert float(quality.compute()) == pytest.approx(np.mean(scores), abs=1e-3)
    blur = np.mean([reading.causes["blur"] for reading in readings])
    assert quality.causes()["blur"] == pytest.approx(blur, abs=1e-4)
    quality.reset()
    quality.update(images[:1])
    assert float(quality.compute()) == pytest.approx(scores[0], abs=1e-3)
    with pytest.raises(InputError, match=r"expected \[n, 3, h, w\], found \[3, 8, 8\]"):
        quality.update(torch.zeros(3, 8, 8))


@pytest.mark.slow
def test_the_metric_is_called_as_those_of_pyiqa(pictures: np.ndarray, scorer: Scorer, tmp_path: Path) -> None:
    import cv2

    metric = example("torch_metrics.py", "torch_metrics").create_metric("dpiqa-lite0")
    scores = metric(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    assert scores.shape == (3, 1)
    cv2.imwrite(str(tmp_path / "first.png"), pictures[0][..., ::-1])
    assert float(metric(tmp_path / "first.png")) == pytest.approx(float(scores[0]), abs=1e-3)
    assert not metric.lower_better


@pytest.mark.slow
def test_gstreamer_posts_each_reading_as_a_message(tmp_path: Path, scorer: Scorer) -> None:
    (tmp_path / "gi").symlink_to(_GI)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    needed = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstVideo', '1.0')"
    if subprocess.run([sys.executable, "-c", needed], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("needs python3-gi and gir1.2-gst-plugins-base-1.0, for the Python that runs the tests")
    pipeline = f"filesrc location={CLIP} ! qtdemux ! h264parse ! openh264dec"
    command = [sys.executable, EXAMPLES / "gstreamer.py", pipeline, "--fps", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert (ended.returncode, ended.stderr) == (0, "")
    readings = [json.loads(line) for line in ended.stdout.splitlines()]
    wanted = list(scorer.stream(CLIP, fps=1))
    assert len(readings) == pytest.approx(len(wanted), abs=1)
    assert np.diff([reading["pts_s"] for reading in readings]) == pytest.approx(1)
    for reading, other in zip(readings[:10], wanted, strict=False):
        assert reading["score"] == pytest.approx(other.score, abs=5)  # frames and converter differ


@pytest.mark.slow
@pytest.mark.parametrize("pixels", ["nv12", "yuv420p"])
def test_ffmpeg_pipes_what_it_encodes(pixels: str, scorer: Scorer) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg")
    form = ["-f", "rawvideo", "-pix_fmt", pixels] if pixels == "nv12" else ["-f", "yuv4mpegpipe"]
    encoded = ["-map", "0:v", "-c:v", "mpeg4", "-f", "null", "/dev/null"]
    decode = [ffmpeg, "-loglevel", "error", "-t", "4", "-i", CLIP, *encoded, "-map", "0:v", "-vf", "fps=1", *form, "-"]
    raw = ["--raw", "nv12:1920x1080@1"] if pixels == "nv12" else []
    score = [sys.executable, "-m", "dpiqa", "score", "-", *raw, "--format", "json"]
    with subprocess.Popen(decode, stdout=subprocess.PIPE) as video:
        ended = subprocess.run(score, stdin=video.stdout, capture_output=True, text=True, check=True, timeout=100)
    readings = [reading for reading in map(json.loads, ended.stdout.splitlines()) if reading["type"] == "reading"]
    assert len(readings) == 4
    # The filter takes the frame nearest to the middle of each second, so that scores are near where nothing changes.
    wanted = [reading.score for reading in scorer.stream(CLIP, fps=1)][:4]
    assert np.median(np.abs(np.array([reading["score"] for reading in readings]) - wanted)) < 3


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    notebook: Any = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds


def test_the_operator_of_fiftyone_fills_the_fields(scorer: Scorer) -> None:
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip("needs fiftyone")
    import fiftyone as fo  # pyright: ignore[reportMissingImports]

    operator = example("fiftyone/__init__.py", "dpiqa_fiftyone").ScoreQuality()
    samples = [fo.Sample(filepath=str(EXAMPLES.parent / "docs" / "clip.png")), fo.Sample(filepath=str(CLIP))]
    view = SimpleNamespace(iter_samples=lambda **_: samples)
    ctx = SimpleNamespace(params={}, target_view=lambda: view, ops=SimpleNamespace(reload_dataset=lambda: None))
    assert operator.execute(ctx) == {"scored": 1, "failed": 1}
    reading = scorer.score(samples[0].filepath)
    assert samples[0]["quality"] == pytest.approx(reading.score, abs=0.1)
    assert samples[0]["quality_band"] == reading.band
    assert samples[0]["quality_map"].map.shape == (48, 48)
    assert "not a picture" in samples[1]["quality_error"]
