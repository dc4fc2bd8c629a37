"""Tiny rated data sets: one photograph-like texture, blurred more and more, whose MOS falls with the blur."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from rated_sets import write_rated_set

from dpiqa.train.distortions.kinds import DISTORTIONS


@pytest.fixture(scope="session")
def rated_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 80 small rated pictures."""
    return write_rated_set(tmp_path_factory.mktemp("rated"), 80)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 48 smaller pictures: 34 to train, 4 to validate and 10 to test on in `ratio:0`."""
    return write_rated_set(tmp_path_factory.mktemp("fewer"), 48, side=72)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache folder that is empty at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion, in a folder like SD 1.5's."""
    from tiny_release import write_release  # slow to import

    return write_release(tmp_path_factory.mktemp("release") / "sd15")


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny untrained teacher whose scores differ from picture to picture."""
    import torch  # slow to import, as all of training
    from torch import nn

    from dpiqa.train.teachers.model import build_teacher

    torch.manual_seed(0)
    tiny = build_teacher("test_efficientnet", 96, 8)
    for weight in tiny.decoder.parameters():
        (nn.init.kaiming_normal_ if weight.ndim > 1 else nn.init.zeros_)(weight)
    tiny.decoder.get_parameter("to_score.4.weight").data *= 10
    about = {"teacher": tiny.config, "input": tiny.input.model_dump(),
             "trained_on": [{"name": "csv", "split": "ratio:0", "images": 57}]}  # fmt: skip
    file = tmp_path_factory.mktemp("teacher") / "best.pt"
    torch.save({"about": about, "ema": tiny.state_dict()}, file)
    return file


@pytest.fixture(scope="module")
def kept_prompts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A user's cache folder for all tests of a module, so that prompts are embedded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def few_distortions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only three distortions, of three causes."""
    for name in set(DISTORTIONS) - {"defocus", "colour_cast", "packet_loss"}:
        monkeypatch.delitem(DISTORTIONS, name)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 pictures with edges and grain everywhere."""
    folder = tmp_path_factory.mktemp("good")
    for seed in range(12):
        coarse = np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{seed}.png"), cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_NEAREST))
    return folder
