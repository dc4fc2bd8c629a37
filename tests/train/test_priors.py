"""Backbones of timm as priors: four levels from each kind, and sizes that they do not take are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from dpiqa.errors import InputError
from dpiqa.train import teacher
from dpiqa.train.loop.checkpoint import load_checkpoint
from dpiqa.train.teachers.presets import BACKBONES
from dpiqa.train.teachers.priors import TimmPrior

SWIN = "swin_tiny_patch4_window7_224"


@pytest.mark.parametrize(
    ("arch", "size", "sides"),
    [
        ("test_efficientnet", 96, [24, 12, 6, 3]),
        ("test_vit", 64, [4, 4, 4, 4]),
        (SWIN, 112, [28, 14, 7, 4]),
        ("beit_base_patch16_224", 64, [4, 4, 4, 4]),
    ],
)
def test_backbones_of_every_kind_give_four_levels(arch: str, size: int, sides: list[int]) -> None:
    prior = TimmPrior(arch, size).eval()
    with torch.inference_mode():
        levels = prior(torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8))
    assert [level.shape[1] for level in levels] == prior.channels
    assert [level.shape[2] for level in levels] == sides


@pytest.mark.parametrize(("arch", "size", "crop"), [("beit_base_patch16_224", 64, 32), ("test_vit", 64, 40)])
def test_crops_of_a_size_that_a_backbone_does_not_take_are_refused(arch: str, size: int, crop: int) -> None:
    with pytest.raises(InputError, match=f"--crop {crop}: "):
        TimmPrior(arch, size).require("--crop", crop)


def test_a_size_that_a_backbone_does_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="--size 50: "):
        TimmPrior("test_vit", 50)


@pytest.mark.parametrize("name", ["dinov3-s", pytest.param("siglip2-b", marks=pytest.mark.slow)])
def test_named_backbones_start_from_a_file_in_the_names_of_their_release(name: str, tmp_path: Path) -> None:
    """A file of random weights with the release's names and shapes, loaded at another size than it was made for."""
    released: Any = timm.create_model(BACKBONES[name])
    state = {key: value.half() for key, value in released.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    prior = TimmPrior(BACKBONES[name], 64).eval()
    before = prior(torch.full((1, 64, 64, 3), 200, dtype=torch.uint8))
    assert prior.load_pretrained(str(tmp_path / "model.safetensors")) == str(tmp_path / "model.safetensors")
    after = prior(torch.full((1, 64, 64, 3), 200, dtype=torch.uint8))
    assert not torch.allclose(before[-1], after[-1])
    weight = next(key for key in prior.trunk.state_dict() if key.endswith("attn.qkv.weight"))
    assert torch.equal(prior.trunk.state_dict()[weight], state[weight].float())


@pytest.mark.parametrize("name", ["dinov3-s", "siglip2-b"])
def test_a_named_backbone_without_weights_at_hand_is_one_line(
    name: str, rated_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setitem(BACKBONES, name, {"dinov3-s": "test_vit.r160_in1k", "siglip2-b": "test_vit2.r160_in1k"}[name])
    train: Any = teacher.main
    with pytest.raises(InputError, match=r"^no weights for test_vit.*; give a file with --weights$") as refused:
        train([f"csv={rated_set}"], tmp_path / "run", prior=name, size=64, split="ratio:0")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_teacher_learns_by_the_papers_loss_when_asked_to(table: Path, tmp_path: Path) -> None:
    train: Any = teacher.main
    options = {"prior": "test_vit", "size": 64, "width": 8, "batch": 16, "epochs": 1, "pretrained": False,
               "precision": "fp32", "split": "ratio:0"}  # fmt: skip
    for loss in ("paper", "quality"):
        train([f"csv={table}"], tmp_path / loss, loss=loss, **options)
    paper, quality = (load_checkpoint(tmp_path / loss / "best.pt", "teacher") for loss in ("paper", "quality"))
    assert (paper.record.loss, quality.record.loss) == ("paper", "quality")
    head = "decoder.to_score.4.weight"
    assert not torch.equal(paper.weights[head], quality.weights[head])
    with pytest.raises(InputError, match="another recipe, model or data"):
        train([f"csv={table}"], tmp_path / "paper", loss="ranked", **options)
