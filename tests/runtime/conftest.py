"""Files that the tests score, in the test's own folder, and the command to score them with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from coded import CLIP, COUNT, ENGINES, HEIGHT, WIDTH, Pictures
from made import NO_DIGEST, Ended, MakeModel, brightness_model, make_spec, photo
from onnx import helper

from dpiqa import Scorer
from dpiqa.cli import main
from dpiqa.runtime.spec import METADATA_KEY, ModelSpec
from dpiqa.train.model_files import weights_sha256


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Write a model file: `save_model(spec)`, with `document=` another contract than the spec's (None: none at all)."""

    def save(spec: ModelSpec | None = None, document: str | None = "", outputs: Sequence[str] = ("score",)) -> Path:
        spec = spec or make_spec()
        model = brightness_model(spec, outputs)
        if document is not None:
            stated = (document or spec.to_json()).replace(NO_DIGEST, weights_sha256(model))
            helper.set_model_props(model, {METADATA_KEY: stated})
        path = tmp_path_factory.mktemp("model") / "brightness.onnx"
        onnx.save(model, path)
        return path

    return save


@pytest.fixture(scope="session")
def model_path(save_model: MakeModel) -> Path:
    """A model that scores 20, 30 and 50 points for full red, green and blue."""
    return save_model()


@pytest.fixture
def write_picture(tmp_path: Path) -> Callable[..., Path]:
    """Write a picture (default: `photo()`) under a name in the test's folder."""

    def write(name: str = "photo.png", pixels: np.ndarray | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), photo() if pixels is None else pixels)
        return path

    return write


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Write frames losslessly (FFV1 in RGB) as a video under a name in the test's folder."""

    def write(frames: Sequence[np.ndarray], name: str = "clip.avi", fps: float = 10) -> Path:
        path = tmp_path / name
        height, width = frames[0].shape[:2]
        fourcc = cv2.VideoWriter.fourcc(*"FFV1")
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
        assert writer.isOpened()
        for frame in frames:
            writer.write(frame)
        writer.release()
        return path

    return write


@pytest.fixture
def dpiqa(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the command in this process, all output captured, also what native code writes."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dpiqa", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        out, err = capfd.readouterr()
        return Ended(ended.value.code, str(out), str(err))

    return run


@pytest.fixture(scope="session")
def moving() -> Pictures:
    """Frames of a picture that moves sideways, BGR, twice as many as a video has."""
    with av.open(str(CLIP)) as container:
        whole = next(container.decode(video=0)).reformat(1920, 1080, "bgr24").to_ndarray()
    rows = cv2.resize(whole, (960, 540), interpolation=cv2.INTER_AREA)
    return [np.ascontiguousarray(rows[90 : 90 + HEIGHT, 6 * n : 6 * n + WIDTH]) for n in range(2 * COUNT)]


@pytest.fixture(scope="session")
def panning() -> Pictures:
    """Larger frames, which lose little by having every other line only."""
    with av.open(str(CLIP)) as container:
        whole = next(container.decode(video=0)).reformat(1920, 1080, "bgr24").to_ndarray()
    return [np.ascontiguousarray(whole[100:820, 3 * n : 3 * n + 1280]) for n in range(6)]


@pytest.fixture(scope="module", params=ENGINES)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return Scorer(engine=request.param, threads=1)


@pytest.fixture(scope="module")
def expected(scorer: Scorer, moving: Pictures) -> list[float]:
    """The scores of the frames themselves."""
    return [scorer.score(picture).score for picture in moving]
