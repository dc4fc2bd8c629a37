"""A score that travels: offsets of collections, deviations in the score, whole frames at the end, many data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from dpiqa.errors import InputError
from dpiqa.export.graphs.student import export_checkpoint
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.spec import InputSpec
from dpiqa.train import student
from dpiqa.train.data.datasets import Sample
from dpiqa.train.data.frames import RatedFrames
from dpiqa.train.loop.fit import fit
from dpiqa.train.loop.recipe import Recipe
from dpiqa.train.loop.record import RunRecord
from dpiqa.train.students.collections import CollectedStudent, by_name, rating_loss
from dpiqa.train.students.files import load_start, load_student, with_heads
from dpiqa.train.students.model import Student, deviations, means


def _frames(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.slow
def test_offsets_take_up_what_two_groups_of_raters_differ_by_and_leave_the_scale() -> None:
    """The same pictures, 20 points apart: 6 of 8 pictures are in the first collection, so offsets are -5 and 15."""
    torch.manual_seed(0)
    collected = CollectedStudent(Student("test_efficientnet"), [6, 2])
    score = torch.tensor([20.0, 40.0, 60.0, 80.0])
    mos, collection = torch.cat([score - 5, score + 15]), torch.tensor([0] * 4 + [1] * 4)
    learned = torch.optim.Adam([collected.offsets], lr=0.01)

    def outputs_now() -> dict[str, Tensor]:
        *_, offsets = collected(_frames())
        return {"score": torch.cat([score, score]), "offsets": offsets[:1].expand(8, -1)}

    for _ in range(200):
        learned.zero_grad()
        rating_loss(outputs_now(), mos, collection).backward()
        learned.step()
    outputs = outputs_now()
    loss = rating_loss(outputs, mos, collection)
    assert outputs["offsets"][0].tolist() == pytest.approx([-5, 15], abs=0.3)
    assert loss.item() < 0.01
    plain = rating_loss({"score": torch.cat([score, score])}, mos, collection)
    assert plain.item() > 0.3
    other = by_name(("score", "offsets"), rating_loss)((outputs["score"], outputs["offsets"]), mos, collection)
    assert other.item() == pytest.approx(rating_loss(outputs, mos, collection).item())


def test_a_score_reads_deviations_and_learns_nothing_from_them_at_first() -> None:
    torch.manual_seed(0)
    plain = Student("test_efficientnet").eval()
    both = with_heads(plain, {"deviations": True}).eval()
    with torch.inference_mode():
        levels = plain.forward_features(_frames())
        assert torch.allclose(plain(_frames()), both(_frames()), atol=1e-4)
        nn.init.normal_(both.get_parameter("head.1.weight")[:, means(levels).shape[1] :], std=0.1)
        read = torch.cat([means(levels), deviations(levels)], dim=1)
        expected = 100 * torch.sigmoid(both.head(read).squeeze(1))
        assert torch.allclose(both(_frames()), expected, atol=1e-4)
        assert not torch.allclose(plain(_frames()), expected, atol=0.01)


class _Watcher(nn.Module):
    """A model of one weight that notes the sizes of the frames that it learns from."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(3, 1)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, frames: Tensor) -> Tensor:
        if self.training:
            self.sizes.append((frames.shape[1], frames.shape[2]))
        return 50 + self.trunk(frames.float().mean((1, 2)) / 255).squeeze(1)


@pytest.mark.slow
def test_whole_frames_are_the_last_steps_of_all_also_after_a_resume(rated_set: Path, tmp_path: Path) -> None:
    samples = [Sample(rated_set.with_name(f"{number}.png"), 50.0 + number, str(number)) for number in range(32)]
    spec = InputSpec(height=64, width=96)
    watcher = _Watcher()
    record = RunRecord(input=spec, trained_on=())
    train, val = RatedFrames(samples, spec, 32), RatedFrames(samples[:4], spec)
    recipe = Recipe(epochs=2, batch=8, crop=32, whole=0.4, ema=0.0)
    fit(watcher, train, val, recipe, tmp_path, record, save_every=7)
    assert watcher.sizes == [(32, 32)] * 5 + [(64, 96)] * 3
    again = _Watcher()
    (tmp_path / "best.pt").unlink()
    checkpoint = torch.load(tmp_path / "last.pt", weights_only=True)
    torch.save(checkpoint | {"epoch": 1, "step": 2, "history": checkpoint["history"][:1]}, tmp_path / "last.pt")
    fit(again, train, val, recipe, tmp_path, record)
    assert again.sizes == [(64, 96)] * 2


def _write_sets(root: Path) -> list[str]:
    """Trees of the published layouts with a few pictures each; the values of --data."""

    def pictures(folder: Path, names: list[str]) -> None:
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (72, 72, 3)).astype(np.uint8)
            cv2.imwrite(str(folder / name), cv2.GaussianBlur(noise, (0, 0), 0.5 + number % 4))

    count = 20
    names = [f"{number}.jpg" for number in range(count)]
    mos = np.linspace(20, 90, count)
    biq = [f"ss0{1 + number % 3} ({number}).jpg" for number in range(count)]
    pictures(root / "biq" / "Images", biq)
    rows = [f"{name},{value / 100:.3f}" for name, value in zip(biq, mos, strict=True)]
    (root / "biq" / "Train (Images and MOS).csv").write_text("\n".join(["Image Name,MOS", *rows[:-3]]))
    (root / "biq" / "Test (Images and MOS).csv").write_text("\n".join(["Image Name,MOS", *rows[-3:]]))
    pictures(root / "koniq" / "1024x768", names)
    koniq = pd.DataFrame({"image_name": names, "MOS": 1 + mos / 25, "SD": 0.5})
    koniq.to_csv(root / "koniq" / "koniq10k_scores_and_distributions.csv", index=False)
    pictures(root / "spaq" / "TestImage", names)
    (root / "spaq" / "Annotations").mkdir()
    spaq = pd.DataFrame({"Image name": names, "MOS": mos})
    spaq.to_excel(root / "spaq" / "Annotations" / "MOS and Image attribute scores.xlsx", index=False)
    flive = [f"{('AVA', 'VOC2012')[number % 2]}/{number}.jpg" for number in range(count)]
    pictures(root / "flive" / "database", flive)
    pd.DataFrame({"name": flive, "mos": mos}).to_csv(root / "flive" / "labels_image.csv", index=False)
    return [f"{name}={root / place}" for name, place in
            (("biq2021", "biq"), ("koniq10k", "koniq"), ("spaq", "spaq"), ("livefb", "flive"))]  # fmt: skip


@pytest.mark.slow
def test_one_command_learns_from_all_data_sets_and_the_model_names_them(tmp_path: Path) -> None:
    """BIQ2021's three collections, KonIQ-10k, SPAQ and LIVE-FB's two have an offset each, which no model file has."""
    train: Any = student.main
    options = {"arch": "test_efficientnet", "size": 64, "crop": 32, "batch": 16, "epochs": 2, "pretrained": False,
               "bf16": False, "deviations": True, "offsets": True, "whole": 0.34}  # fmt: skip
    data = _write_sets(tmp_path / "sets")
    train(data, tmp_path / "run", **options)
    stored = torch.load(tmp_path / "run" / "best.pt", weights_only=True)["ema"]
    assert len(stored["offsets"]) == 7
    assert stored["offsets"].abs().max() > 0
    trained, record = load_student(tmp_path / "run" / "best.pt")
    assert [entry.name for entry in record.trained_on] == ["biq2021", "koniq10k", "spaq", "livefb"]
    assert "offsets" not in trained.state_dict()
    file = tmp_path / "mine.onnx"
    export_checkpoint(tmp_path / "run" / "best.pt", file, "mine", "0.1.0", "not stated")
    engines = [open_engine(file, name) for name in ("onnxruntime", "openvino")]
    assert {entry.name for entry in engines[0].spec.trained_on} == {"biq2021", "koniq10k", "spaq", "livefb"}
    with torch.inference_mode():
        expected = trained(_frames()).numpy()
    for engine in engines:
        scores = [prediction.score for prediction in engine.infer(_frames().numpy())]
        assert np.allclose(scores, expected, atol=0.05), engine.name
    again, _ = load_start(file, "test_efficientnet")
    assert again.config["deviations"]
    with torch.inference_mode():
        assert np.allclose(again(_frames()).numpy(), expected, atol=0.05)
    with pytest.raises(InputError, match="which --across-collections compares"):
        train(data, tmp_path / "other", **options, across_collections=True)
    assert not (tmp_path / "other").exists()
