"""The teacher at full size, with random weights: it has the paper's parameters, and a pass fits the memory of a PC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from full_size import TEXT, full_size
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel


def _count(part: nn.Module) -> int:
    return sum(weight.numel() for weight in part.parameters())


def test_every_part_has_the_papers_number_of_parameters() -> None:
    teacher: Any = full_size()
    parts = {
        "unet": teacher.trunk,
        "vae": teacher.prior.vae.net,
        "image adapter": teacher.prior.image_adapter,
        "text adapter": teacher.prior.text_adapter,
        "decoder": teacher.decoder,
    }
    counts = {name: _count(part) for name, part in parts.items()}
    in_millions = {name: round(count / 1e6, 1) for name, count in counts.items()}
    assert in_millions == {"unet": 859.5, "vae": 83.7, "image adapter": 77.4, "text adapter": 1.2, "decoder": 42.9}
    assert (counts["unet"], counts["vae"]) == (859_520_964, 83_653_863)  # as published
    assert sum(counts.values()) == pytest.approx(1.065e9, rel=1e-3)
    assert teacher.prior.channels == [1280, 1280, 640, 320]


def test_the_text_encoder_is_the_published_one_and_fits_the_unet() -> None:
    with torch.device("meta"):
        encoder = CLIPTextModel(CLIPTextConfig(**TEXT))
    assert _count(encoder) == 123_060_480
    assert TEXT["hidden_size"] == full_size().trunk.config.cross_attention_dim  # type: ignore[union-attr]


@pytest.mark.slow
def test_one_pass_fits_in_12_gb() -> None:
    program = Path(__file__).with_name("full_size.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["levels"] == [[1, 1280, 16, 16], [1, 1280, 32, 32], [1, 640, 64, 64], [1, 320, 64, 64]]
    assert results["types"] in (["torch.bfloat16"], ["torch.float32"])
    assert results["map"] == [1, 8, 64, 64]
    assert results["finite"]
    assert 0 < results["score"] < 100
    assert results["peak_gb"] < 12, results
