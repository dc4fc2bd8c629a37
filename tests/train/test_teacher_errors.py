"""What can go wrong with a diffusion teacher: one clear line, exit status 2, and nothing bad left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rated_sets import write_rated_set
from safetensors.torch import load_file, save_file
from tiny_runs import ended, teach
from torch import Tensor

from dpiqa.train import teacher, teacher_cache
from dpiqa.train.loop import losses
from dpiqa.train.loop.losses import ranked_loss
from dpiqa.train.teachers.adapters import TextAdapter

LAYOUT = (
    "--weights expects a folder with unet/, vae/, text_encoder/ (config.json and .safetensors each) and tokenizer/, "
    "as stable-diffusion-v1-5/stable-diffusion-v1-5 on huggingface.co has it"
)
CALMER = "train with a smaller --lr and another --out"
UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))
TEXT = "text_encoder/model.safetensors"
FIRST = "conv_in.weight"


@pytest.fixture(scope="module", autouse=True)
def _kept_prompts(kept_prompts: None) -> None:
    pass


def _refused(options: list[str], out: Path) -> str:
    """The one line that train.teacher ends with where it writes nothing."""
    status, lines = ended(teacher.main, options)
    assert (status, len(lines)) == (2, 1), lines
    assert not out.exists()
    return lines[0]


@pytest.fixture
def refused_release(release: Path, table: Path, tmp_path: Path) -> Callable[[Callable[[Path], object]], str]:
    """The error message for a damaged copy of the release."""

    def message_of(spoil: Callable[[Path], object]) -> str:
        folder = shutil.copytree(release, tmp_path / "release")
        spoil(folder)
        return _refused(teach(folder, table, tmp_path / "run"), tmp_path / "run")

    return message_of


def _change_weights(file: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


def _change_config(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.slow
def test_without_weights_within_reach_the_layout_and_its_source_are_named(table: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.teacher", *teach(None, table, tmp_path / "run")]
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("stable-diffusion-v1-5/stable-diffusion-v1-5: neither a folder nor within reach on")
    assert done.stderr.strip().endswith(LAYOUT)
    assert not (tmp_path / "run").exists()


def test_a_file_in_place_of_a_folder_names_the_layout(release: Path, table: Path, tmp_path: Path) -> None:
    message = _refused(teach(release / UNET, table, tmp_path / "run"), tmp_path / "run")
    assert message.startswith(f"{release / UNET}: neither a folder nor")
    assert message.endswith(LAYOUT)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "unet"), f"/release: unet/config.json is missing; {LAYOUT}"),
        (lambda folder: (folder / UNET).unlink(), f"/release: {UNET} is missing; {LAYOUT}"),
        (lambda folder: (folder / "tokenizer" / "merges.txt").unlink(), "/release: tokenizer/merges.txt is missing;"),
        (
            lambda folder: (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.bin"),
            "/release/unet: diffusion_pytorch_model.bin is a pickle, which can run code and is not read; "
            "get diffusion_pytorch_model.safetensors (from stable-diffusion-v1-5/stable-diffusion-v1-5, for instance)",
        ),
        (
            lambda folder: (folder / TEXT).rename(folder / "text_encoder" / "pytorch_model.bin"),
            "/release/text_encoder: pytorch_model.bin is a pickle, which can run code and is not read; "
            "get model.safetensors",
        ),
    ],
)
def test_what_a_release_lacks_is_named(
    refused_release: Callable[..., str], spoil: Callable[[Path], object], message: str
) -> None:
    assert message in refused_release(spoil)


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
def test_weights_that_were_cut_short_are_named(refused_release: Callable[..., str], file: str) -> None:
    message = refused_release(lambda folder: os.truncate(folder / file, (folder / file).stat().st_size - 9))
    assert f"/release/{file}: damaged or cut short (" in message
    assert message.endswith("), get the file again")


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
def test_weights_that_lack_a_tensor_are_refused(refused_release: Callable[..., str], file: str) -> None:
    lost: list[str] = []

    def spoil(folder: Path) -> None:
        lost.append(sorted(load_file(folder / file))[0])
        _change_weights(folder / file, lambda weights: weights.pop(lost[0]))

    message = refused_release(spoil)
    assert f"/release/{Path(file).parent}: its weights lack {lost[0]}, get the file again" in message


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: shutil.copy(folder / "vae" / "config.json", folder / "unet"),
            "/unet/config.json: describes AutoencoderKL, expected UNet2DConditionModel;",
        ),
        (lambda folder: (folder / "vae" / "config.json").write_text("[]"), "not the configuration of AutoencoderKL"),
        (lambda folder: (folder / "tokenizer" / "vocab.json").write_text("{"), "/release/tokenizer: cannot be read ("),
        (
            lambda folder: _change_config(folder / "unet" / "config.json", in_channels=9),
            "/release/unet: cannot be read as UNet2DConditionModel (Cannot load  because conv_in.weight expected",
        ),
        (
            lambda folder: _change_weights(
                folder / TEXT, lambda weights: weights["final_layer_norm.bias"].fill_(torch.nan)
            ),
            "/release/text_encoder: gives embeddings that are not finite numbers, get its file again",
        ),
    ],
)
def test_parts_that_are_not_what_they_should_be_are_refused(
    refused_release: Callable[..., str], spoil: Callable[[Path], object], message: str
) -> None:
    assert message in refused_release(spoil)


def test_a_unet_that_also_takes_a_mask_is_refused(refused_release: Callable[..., str]) -> None:
    def spoil(folder: Path) -> None:
        _change_config(folder / "unet" / "config.json", in_channels=9)
        wide = load_file(folder / UNET)[FIRST].repeat(1, 3, 1, 1)[:, :9]
        _change_weights(folder / UNET, lambda weights: weights.update({FIRST: wide.contiguous()}))

    assert refused_release(spoil).endswith("/unet: takes 9 channels, not the VAE's 4: not text-to-image")


def test_a_text_encoder_of_another_width_is_refused(
    release: Path, table: Path, tmp_path: Path, refused_release: Callable[..., str]
) -> None:
    from tiny_release import write_release

    other = write_release(tmp_path / "other", like="sd21")

    def spoil(folder: Path) -> None:
        shutil.rmtree(folder / "text_encoder")
        shutil.copytree(other / "text_encoder", folder / "text_encoder")

    assert refused_release(spoil) == "the text encoder gives 16 numbers, the U-Net expects 8"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "96", "--size 96: this prior needs a multiple of 64 pixels"),
        ("--crop", "48", "--crop 48: this prior needs a multiple of 64 pixels"),
        ("--batch", "9", "--batch 9 does not divide into 2 parts (--accumulate) of at least two pictures"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    release: Path, table: Path, tmp_path: Path, option: str, value: str, message: str
) -> None:
    status, lines = ended(teacher.main, teach(release, table, tmp_path / "run", option, value, "--accumulate", "2"))
    assert (status, len(lines)) == (2, 1), lines
    assert message in lines[0]


def test_a_data_set_of_one_picture_is_refused_before_a_release_is_read(tmp_path: Path) -> None:
    table = write_rated_set(tmp_path / "one", 1)
    message = _refused(teach("/no/such/release", table, tmp_path / "run", "--split", "grouped"), tmp_path / "run")
    assert message == (
        "too few pictures: training and validation need at least four each, here train 0  val 1  held out 0  "
        "dropped as near-duplicates 0"
    )


def _out_of_memory(*_: object) -> Tensor:
    return torch.empty(1 << 50, dtype=torch.uint8)


def _out_of_gpu_memory(*_: object) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


@pytest.mark.parametrize("grab", [_out_of_memory, _out_of_gpu_memory])
def test_running_out_of_memory_says_what_to_turn(
    release: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grab: Callable[..., Tensor]
) -> None:
    monkeypatch.setattr(TextAdapter, "forward", grab)
    assert ended(teacher.main, teach(release, table, tmp_path)) == (
        2,
        ["out of memory: use a smaller --batch or, for a teacher, --accumulate, --gradient-checkpointing or --ema 0"],
    )


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(
    release: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def breaks(score: Tensor, mos: Tensor) -> Tensor:
        calls.append(1)
        return ranked_loss(score, mos) * (torch.nan if len(calls) > 4 else 1)

    options = teach(release, table, tmp_path / "run", "--save-every", "1")
    with monkeypatch.context() as patch:
        patch.setattr(losses, "ranked_loss", breaks)
        status, lines = ended(teacher.main, options)
    best = tmp_path / "run" / "best.pt"
    assert (status, lines) == (2, [f"the loss is nan in epoch 2 ({best} is from before), " + CALMER])
    for file in ("best.pt", "last.pt"):
        kept = torch.load(tmp_path / "run" / file, weights_only=True)
        assert (kept["epoch"], kept["step"]) == (1, 0)
        assert all(value.isfinite().all() for part in ("model", "ema") for value in kept[part].values())
    checkpoint = shutil.copy(best, tmp_path)
    assert ended(teacher.main, options) == (0, [])
    out = ["--teacher", str(checkpoint), "--data", f"csv={table}", "--split", "ratio:0", "--out", str(tmp_path / "c")]
    monkeypatch.setattr(TextAdapter, "forward", _out_of_memory)
    assert ended(teacher_cache.main, out) == (2, ["out of memory: use a smaller --batch"])


def test_an_epoch_that_scores_no_numbers_is_not_kept(
    release: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = TextAdapter.forward

    def breaks(self: TextAdapter, tokens: Tensor) -> Tensor:
        return forward(self, tokens) * (1 if self.training else torch.nan)

    monkeypatch.setattr(TextAdapter, "forward", breaks)
    status, lines = ended(teacher.main, teach(release, table, tmp_path))
    assert (status, lines) == (2, ["the sum of validation scores is nan in epoch 1, " + CALMER])
    assert not (tmp_path / "best.pt").exists()
