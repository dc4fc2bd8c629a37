"""The diffusion prior on a tiny release in the real layout: what goes in, what comes out, what learns."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_release import write_release
from torch import Tensor, nn
from transformers import CLIPTextModel

from dpiqa.errors import InputError
from dpiqa.train.loop.losses import paper_loss
from dpiqa.train.loop.record import RunRecord, TeacherConfig
from dpiqa.train.teachers.model import Teacher, build_teacher, load_teacher
from dpiqa.train.teachers.prompts import PROMPTS
from dpiqa.train.teachers.released import embed_prompts, find_release, identity
from dpiqa.train.teachers.stable_diffusion import StableDiffusionPrior

SIDE = 64
VAE, TEXT = "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


@pytest.fixture(autouse=True)
def _kept_prompts(kept_prompts: None) -> None:
    pass


@pytest.fixture
def teacher(release: Path) -> Teacher:
    torch.manual_seed(0)
    return build_teacher("sd15", SIDE, 8, str(release))


@pytest.fixture
def prior(teacher: Teacher) -> Any:
    return teacher.prior.eval()


@pytest.fixture
def frames() -> Tensor:
    """Two frames, one with the darkest and the brightest pixel."""
    drawn = torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    drawn[0, 0, 0], drawn[0, 0, 1] = 0, 255
    return drawn


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of prompts in each call of a text encoder."""
    counts: list[int] = []
    forward = CLIPTextModel.forward

    def counted(self: CLIPTextModel, tokens: Tensor, *rest: Any, **options: Any) -> Any:
        counts.append(len(tokens))
        return forward(self, tokens, *rest, **options)

    monkeypatch.setattr(CLIPTextModel, "forward", counted)
    return counts


def _seen(module: nn.Module) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    module.register_forward_pre_hook(lambda _, args, options: calls.append((args, options)), with_kwargs=True)
    return calls


def _learning(teacher: Teacher) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in teacher.named_parameters() if weight.requires_grad}


def _gradients(teacher: Teacher, frames: Tensor) -> dict[str, Tensor]:
    teacher.zero_grad()
    torch.manual_seed(2)  # the latents are drawn
    scores, _ = teacher.train()(frames)
    paper_loss(scores, torch.tensor([20.0, 55.0])).backward()
    return {name: weight.grad for name, weight in teacher.named_parameters() if weight.grad is not None}


def test_the_prompts_are_every_pairing_and_stay_as_they_are() -> None:
    assert len(PROMPTS) == len(set(PROMPTS)) == 495
    assert PROMPTS[0] == "a photo of a animal with JPEG2000 compression artifacts, which is of bad quality"
    assert PROMPTS[-1] == "a photo of a other with other artifacts, which is of perfect quality"
    digest = hashlib.sha256("\n".join(PROMPTS).encode()).hexdigest()
    assert digest == "272961da6ac88995404b5570762914e243041ebf80d17c44fe086b2a985f4cf3"


def test_pictures_go_through_the_vae_from_minus_one_to_one_and_the_unet_sees_scaled_means(
    prior: Any, frames: Tensor
) -> None:
    inputs, passed = _seen(prior.vae.net.encoder), _seen(prior.trunk)
    prior(frames)
    pixels = inputs[0][0][0]
    assert (float(pixels.min()), float(pixels.max())) == (-1, 1)
    assert torch.equal(((pixels + 1) * 127.5).round().permute(0, 2, 3, 1).byte(), frames)
    (latents, timestep, tokens), options = passed[0]
    assert timestep == 1
    mean = prior.vae.net.encode(pixels).latent_dist.mean
    assert torch.equal(latents, 0.18215 * mean)
    assert latents.shape == (2, 4, SIDE // 8, SIDE // 8)
    assert torch.equal(tokens, prior.text_adapter(prior.prompts).expand(2, 495, 8))
    adapted = prior.image_adapter(pixels)
    assert [tuple(level.shape[1:]) for level in adapted] == [(4, 8, 8), (8, 4, 4), (12, 2, 2), (12, 1, 1)]
    assert options.keys() == {"down_intrablock_additional_residuals"}


def test_features_are_what_the_four_up_sampling_blocks_give(prior: Any, frames: Tensor) -> None:
    given: list[Tensor] = []
    for block in prior.trunk.up_blocks:
        block.register_forward_hook(lambda _block, _inputs, output: given.append(output))
    levels = prior(frames)
    assert [tuple(level.shape) for level in levels] == [(2, 12, 2, 2), (2, 12, 4, 4), (2, 8, 8, 8), (2, 4, 8, 8)]
    assert all(torch.equal(level, block) for level, block in zip(levels, given, strict=True))
    assert prior.channels == [12, 12, 8, 4]


def test_text_and_picture_reach_the_features(prior: Any, frames: Tensor) -> None:
    before = prior(frames)
    with torch.no_grad():
        prior.text_adapter.gamma.fill_(1)
    conditioned = prior(frames)
    with torch.no_grad():
        for weight in prior.image_adapter.parameters():
            weight.zero_()
    blind = prior(frames)
    assert not any(torch.equal(a, b) for a, b in zip(before, conditioned, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(conditioned, blind, strict=True))


def test_latents_are_drawn_in_training_and_the_mean_in_evaluation(teacher: Teacher, frames: Tensor) -> None:
    calls = _seen(teacher.trunk)
    for mode in (True, True, False, False):
        teacher.train(mode)(frames)
    drawn, again, mean, same = (args[0] for args, _ in calls)
    assert not torch.equal(drawn, again)
    assert torch.equal(mean, same)
    assert 0 < float((drawn - mean).abs().max()) < 1e-3


def test_adapters_start_as_the_paper_says(teacher: Any) -> None:
    prior = teacher.prior
    assert torch.equal(prior.text_adapter.gamma, torch.full((8,), 1e-4))
    shifted = prior.text_adapter(prior.prompts) - prior.prompts
    assert 0 < float(shifted.detach().abs().max()) < 1e-3
    assert len(prior.image_adapter.adapter.body) == 4


def test_gradient_reaches_what_should_learn_and_nothing_else(release: Path) -> None:
    torch.manual_seed(0)
    side = 2 * SIDE  # at the smallest side the middle block is one cell, where attention has no choice
    teacher: Any = build_teacher("sd15", side, 64, str(release))
    gradients = _gradients(teacher, torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8))
    owners = {name.split(".")[0 if name.startswith("decoder") else 1] for name in gradients}
    assert owners == {"trunk", "text_adapter", "image_adapter", "decoder"}
    assert gradients.keys() == _learning(teacher).keys()
    idle = {name for name, _ in teacher.named_parameters()} - gradients.keys()
    assert {name.rpartition(".")[0] for name in idle} == {"prior.trunk.conv_norm_out", "prior.trunk.conv_out"}
    dead = {name for name, gradient in gradients.items() if not gradient.any()}
    assert {name.split(".")[-3] for name in dead} <= {"gate"}, "but a gate of so few units may be shut"
    assert not any(weight.requires_grad for weight in teacher.prior.vae.net.parameters())
    assert not teacher.prior.prompts.requires_grad


def test_the_frozen_vae_stays_in_evaluation_and_out_of_checkpoints(teacher: Any) -> None:
    assert not teacher.train().prior.vae.net.training
    assert not [name for name in teacher.state_dict() if "vae" in name]


def test_gradient_checkpointing_gives_the_same_gradients(teacher: Any, frames: Tensor) -> None:
    before = _gradients(teacher, frames)
    blocks = _seen(teacher.trunk.down_blocks[0].resnets[0])
    teacher.prior.checkpoint_gradients()
    after = _gradients(teacher, frames)
    assert len(blocks) == 2, "nothing was computed a second time"
    assert after.keys() == before.keys()
    assert all(torch.allclose(after[name], before[name], rtol=1e-4, atol=1e-7) for name in before)


@pytest.mark.parametrize("name", ["sd21", "sd-turbo"])
def test_a_release_like_sd_21_works_by_its_configuration(name: str, frames: Tensor, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "sd21", like="sd21")
    teacher: Any = build_teacher(name, SIDE, 8, str(folder))
    assert isinstance(teacher.trunk.mid_block.attentions[0].proj_in, nn.Linear)
    assert teacher.trunk.down_blocks[2].attentions[0].transformer_blocks[0].attn1.heads == 3
    assert teacher.prior.prompts.shape == (495, 16)
    scores, maps = teacher.eval()(frames)
    assert (scores.shape, maps.shape) == ((2,), (2, 8, 64, 64))
    assert _gradients(teacher, frames).keys() == _learning(teacher).keys()


def test_an_adapter_with_zero_convolutions_leaves_the_priors_features_at_first(
    release: Path, frames: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    calm: Any = build_teacher("sd15", SIDE, 8, str(release), zero_adapter=True)
    assert calm.config["zero_adapter"]
    prior, ends = calm.prior.eval(), calm.prior.adapter_ends
    with torch.no_grad():
        begun = prior(frames)
        prior.adapter_ends = None
        moved = prior(frames)
        adapted = prior.image_adapter.forward
        with monkeypatch.context() as patch:
            patch.setattr(prior.image_adapter, "forward", lambda pixels: [0 * level for level in adapted(pixels)])
            own = prior(frames)
    prior.adapter_ends = ends
    assert all(torch.equal(a, b) for a, b in zip(begun, own, strict=True))
    assert not any(torch.allclose(a, b, atol=1e-4) for a, b in zip(moved, own, strict=True))
    gradients = _gradients(calm, frames)
    assert gradients["prior.adapter_ends.0.weight"].abs().max() > 0


def test_the_u_net_is_given_the_timestep_that_was_asked_for(release: Path, frames: Tensor, tmp_path: Path) -> None:
    late: Any = build_teacher("sd15", SIDE, 8, str(release), timestep=499)
    passed = _seen(late.trunk)
    late.eval()(frames)
    assert passed[0][0][1] == 499
    record = RunRecord(teacher=TeacherConfig(**late.config), input=late.input, trained_on=())
    torch.save({"about": record.to_dict(), "ema": late.state_dict()}, tmp_path / "best.pt")
    again, _ = load_teacher(tmp_path / "best.pt")
    assert again.config == late.config
    assert torch.equal(again(frames)[0], late(frames)[0])
    with pytest.raises(InputError, match="--timestep 1000: expected 0 to 999"):
        build_teacher("sd15", SIDE, 8, str(release), timestep=1000)
    with pytest.raises(InputError, match="only a diffusion prior has --timestep and --zero-adapter"):
        build_teacher("test_vit", SIDE, 8, timestep=5)


def test_the_names_of_weights_in_old_releases_are_understood(release: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(release, tmp_path / "old")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def older(name: str) -> str:
        part = next((part for part in names if f".attentions.0.{part}." in name), None)
        return name.replace(part, names[part]) if part else name

    save_file({older(name): value for name, value in load_file(folder / VAE).items()}, folder / VAE)
    text = {f"text_model.{name}": value for name, value in load_file(folder / TEXT).items()}
    save_file(text | {"text_model.embeddings.position_ids": torch.arange(128)[None]}, folder / TEXT)
    old, new = (StableDiffusionPrior.from_release("sd15", str(place), SIDE) for place in (folder, release))
    assert old.config["frozen_sha256"] != new.config["frozen_sha256"]
    assert torch.equal(old.prompts, new.prompts)
    assert all(torch.equal(a, b) for a, b in zip(old.vae.net.parameters(), new.vae.net.parameters(), strict=True))


def test_prompts_are_embedded_once_by_the_release_itself(release: Path, own_cache: Path, encoded: list[int]) -> None:
    first = embed_prompts(release, identity(release))
    assert sum(encoded) == 495
    assert first.shape == (495, 8)
    assert len(first.unique(dim=0)) == 495
    again = embed_prompts(release, identity(release))
    assert sum(encoded) == 495
    assert torch.equal(first, again)
    assert len(list((own_cache / "dpiqa-edge").iterdir())) == 1


@pytest.mark.parametrize("what", ["cut short", "of another release", "no embeddings"])
def test_kept_embeddings_that_are_not_right_are_made_anew(
    release: Path, own_cache: Path, encoded: list[int], what: str
) -> None:
    right = embed_prompts(release, identity(release))
    kept = next((own_cache / "dpiqa-edge").iterdir())
    if what == "cut short":
        kept.write_bytes(kept.read_bytes()[:-99])
    else:
        torch.save({"key": "f" * 64, "embeddings": right + 1} if "other" in what else right + 1, kept)
    assert torch.equal(embed_prompts(release, identity(release)), right)
    assert sum(encoded) == 2 * 495
    assert torch.equal(torch.load(kept, weights_only=True)["embeddings"], right)


def test_another_tokenizer_is_another_embedding(release: Path, own_cache: Path, tmp_path: Path) -> None:
    one = embed_prompts(release, identity(release))
    folder = shutil.copytree(release, tmp_path / "other")
    vocabulary = folder / "tokenizer" / "vocab.json"
    vocabulary.write_text(vocabulary.read_text().replace('"!"', '"#?"').replace('"a"', '"!"').replace('"#?"', '"a"'))
    assert identity(folder) == identity(release)
    assert not torch.equal(embed_prompts(folder, identity(folder)), one)


def test_where_nothing_can_be_kept_prompts_are_embedded_all_the_same(
    release: Path, own_cache: Path, encoded: list[int]
) -> None:
    own_cache.write_text("a file, not a folder")
    embed_prompts(release, identity(release))
    embed_prompts(release, identity(release))
    assert sum(encoded) == 2 * 495


def test_a_checkpoint_is_not_opened_with_another_release(release: Path, tmp_path: Path) -> None:
    other = shutil.copytree(release, tmp_path / "other")
    weights = load_file(other / VAE)
    weights["encoder.conv_in.bias"] += 1
    save_file(weights, other / VAE)
    known = identity(find_release(str(release)))
    assert build_teacher("sd15", SIDE, 8, str(release), known).config["frozen_sha256"] == known
    with pytest.raises(InputError, match="other: not the VAE and text encoder that the teacher was trained with"):
        build_teacher("sd15", SIDE, 8, str(other), known)
