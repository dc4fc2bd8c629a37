"""Average the weights of students that began alike: `python -m train.average --model A --model B --data ... --out DIR`.

Students that were fine-tuned from the same weights lie in one basin, where the mean of the weights scores about as the
mean of the scores: what several recipes are good at, for the price of one (Wortsman et al. 2022, Model soups).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from torch import Tensor

from runtime.command import run
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.spec import InputSpec

from .checkpoint import Recipe, State, weights_sha256
from .datasets import PRISTINE
from .frames import RatedFrames
from .loop import predict
from .metrics import plcc, srcc
from .record import record_run
from .splits import AUTO, DIVISIONS, load_parts
from .student_model import Student, open_student, with_heads


def average(students: list[Student]) -> Student:
    """A student with the mean of their weights, score alone; InputError where they are not built alike."""
    plain = [with_heads(student, {}) for student in students]
    first = plain[0]
    for other in plain[1:]:
        if other.config != first.config:
            raise InputError(
                f"not built alike, {first.config} and {other.config}: take checkpoints alone or model files alone"
            )
    states = [student.state_dict() for student in plain]
    first.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    return first.eval()


def _mean(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[0]


def main(
    model: Annotated[list[Path], typer.Option(help="A checkpoint or an FP32 model file of Lite0; two or more.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set to validate on; several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its log.")],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    seed: Annotated[int, typer.Option(help="Of the division.")] = Recipe.seed,
) -> None:
    """Write the average as a checkpoint like train.student's, and tell how each does on the validation part."""
    if len(model) < 2:
        raise InputError("--model: an average needs two or more")
    opened = [open_student(file) for file in model]
    inputs = {str(about["input"]) for _, about in opened}
    if len(inputs) > 1:
        raise InputError(f"inputs differ: {' and '.join(sorted(inputs))}")
    began = time.monotonic()
    whole, _ = load_parts(data, split, seed)
    student = average([one for one, _ in opened])
    spec = InputSpec(**opened[0][1]["input"])
    parts: list[dict[str, Any]] = []
    for name, one in [*zip(map(str, model), (one for one, _ in opened), strict=True), ("average", student)]:
        score, mos = predict(one, RatedFrames(whole.val, spec))
        parts.append({"weights": weights_sha256(one), "val_srcc": srcc(score, mos), "val_plcc": plcc(score, mos)})
        typer.echo(f"{name}: validation SRCC {parts[-1]['val_srcc']:.4f}, PLCC {parts[-1]['val_plcc']:.4f}")

    trained_on = [entry for _, about in opened for entry in about["trained_on"] if entry["split"] != PRISTINE]
    trained_on = [entry for place, entry in enumerate(trained_on) if entry not in trained_on[:place]]
    about = {"student": student.config, "input": spec.model_dump(), "trained_on": trained_on, "averaged": parts[:-1]}
    out.mkdir(parents=True, exist_ok=True)
    State({"ema": student}, Recipe(epochs=0, seed=seed), about).save(out / "best.pt")
    row = {"epoch": 1} | parts[-1] | {"train_seconds": round(time.monotonic() - began, 1)}
    with atomic_write(out / "log.csv") as file:
        pd.DataFrame([row]).drop(columns="weights").to_csv(file, index=False)
    parameters = sum(weight.numel() for weight in student.parameters())
    origin = " and ".join(f"a student of weights {part['weights'][:12]}" for part in parts[:-1])
    record_run(out, about, command="train.average", start=origin, recipe={"models": len(model)}, parameters=parameters)


if __name__ == "__main__":
    run(main)
