"""Measure a model against human opinion: `python -m train.evaluate --model FILE --data NAME=PATH`."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from runtime.command import run
from runtime.engines import open_engine
from runtime.errors import InputError
from runtime.machine import processor
from runtime.pictures import read_picture
from runtime.preprocess import to_input
from runtime.spec import InputSpec

from .checkpoint import load_checkpoint
from .datasets import Sample, load, parse_source
from .frames import RatedFrames
from .loop import answers, predict
from .memory import memory_advice
from .metrics import agreement, bootstrap, plcc, srcc
from .plots import plot_scatter
from .record import runner
from .splits import may_be_known
from .splits import split as divide
from .student_model import Student, load_student
from .teacher import load_teacher

REFERENCE = "onnxruntime"


class Judged(NamedTuple):
    """What a model says of N pictures: score float64 `[N]`; where it gives them, causes by name `[N]` and map means."""

    score: np.ndarray
    causes: dict[str, np.ndarray]
    map_mean: np.ndarray | None


def score_samples(model: Path, samples: list[Sample], progress: bool = False, **how: Any) -> np.ndarray:
    """Score pictures with a checkpoint or a model file: float64 `[N]` in 0 to 100; `how` as in judge_samples."""
    return judge_samples(model, samples, progress, **how).score


def judge_samples(
    model: Path,
    samples: list[Sample],
    progress: bool = False,
    weights: str | None = None,
    batch: int = 16,
    engine: str = REFERENCE,
) -> Judged:
    """Ask a checkpoint (`.pt`) or a model file about pictures.

    A checkpoint looks at `batch` of them at once; `weights` is where the release of a diffusion teacher lies now. A
    model file runs on `engine`.
    """
    if model.suffix == ".pt":
        return _ask_checkpoint(model, samples, weights, batch)
    running = open_engine(model, engine)
    pictures = track(samples, f"scoring with {model.name}", disable=not progress)
    said = [running.infer(to_input(read_picture(sample.path), running.spec.input)[None]) for sample in pictures]
    causes = [one.causes[0] for one in said if one.causes is not None]
    means = [one.map.mean() for one in said if one.map is not None]
    return Judged(
        np.array([one.score[0] for one in said], np.float64),
        dict(zip(running.spec.causes, np.transpose(causes), strict=True)) if causes else {},
        np.array(means, np.float64) if means else None,
    )


def _ask_checkpoint(model: Path, samples: list[Sample], weights: str | None, batch: int) -> Judged:
    is_teacher = "teacher" in load_checkpoint(model)[0]
    trained, about = load_teacher(model, weights) if is_teacher else load_student(model)
    trained.to("cuda" if torch.cuda.is_available() else "cpu")
    frames = RatedFrames(samples, InputSpec(**about["input"]))
    if not isinstance(trained, Student):
        return Judged(predict(trained, frames, batch)[0], {}, None)
    found = [dict(zip(trained.outputs, outputs, strict=True)) for outputs, _ in answers(trained, frames, batch)]
    columns = {name: torch.cat([one[name] for one in found]).double().numpy() for name in trained.outputs}
    causes = dict(zip(trained.causes, columns["causes"].T, strict=True)) if "causes" in columns else {}
    return Judged(columns["score"], causes, columns["map"].mean((1, 2)) if "map" in columns else None)


def tested_part(samples: list[Sample], split: str) -> list[Sample]:
    """The pictures to score: everything for `all`, else the test part of a split."""
    return samples if split == "all" else divide(samples, split).test


def subsets(tested: list[Sample], everything: list[Sample]) -> dict[str, list[int]]:
    """Positions of the parts of a test set that deserve figures of their own.

    The data set's own subsets and, where the authors' training part holds near-duplicates of test pictures, the test
    pictures without one (`no near-duplicate`): published figures were made with both kinds.
    """
    named: dict[str, list[int]] = defaultdict(list)
    in_training = {sample.group for sample in everything if sample.official == "train"}
    leak_free = [n for n, sample in enumerate(tested) if sample.official == "test" and sample.group not in in_training]
    for position, sample in enumerate(tested):
        if sample.subset:
            named[sample.subset].append(position)
    if 0 < len(leak_free) < len(tested):
        named["no near-duplicate"] = leak_free
    return {name: positions for name, positions in sorted(named.items()) if 1 < len(positions) < len(tested)}


def evaluate(judged: Judged, samples: list[Sample], everything: list[Sample]) -> dict[str, Any]:
    """Agreement with MOS over the tested samples, its 95 % intervals, and the agreement within each subset.

    Of a model that gives more also `causes` (of how many pictures each is the strongest, and their mean MOS) and `map`
    (agreement of its mean with MOS).
    """
    score = judged.score
    mos = np.array([sample.mos for sample in samples])
    result: dict[str, Any] = asdict(agreement(score, mos))
    result["interval_95"] = bootstrap(score, mos)
    if judged.causes:
        strongest = np.stack(list(judged.causes.values())).argmax(0)
        result["causes"] = {
            name: {"images": int(mine.sum()), "mean_mos": float(mos[mine].mean()) if mine.any() else None}
            for name, mine in ((name, strongest == place) for place, name in enumerate(judged.causes))
        }
    if judged.map_mean is not None:
        result["map"] = {"srcc": srcc(judged.map_mean, mos), "plcc": plcc(judged.map_mean, mos)}
    parts = subsets(samples, everything)
    return result | {"subsets": {name: asdict(agreement(score[rows], mos[rows])) for name, rows in parts.items()}}


def drift(judged: Judged, expected: Judged) -> dict[str, float]:
    """How far two models are apart: mean and largest distance of scores, share of pictures of the same cause."""
    apart = np.abs(judged.score - expected.score)
    found = {"mean": float(apart.mean()), "largest": float(apart.max())}
    if judged.causes and judged.causes.keys() == expected.causes.keys():
        one, other = (np.stack(list(said.causes.values())).argmax(0) for said in (judged, expected))
        found["same_cause"] = float((one == other).mean())
    return found


@memory_advice("use a smaller --batch")
def main(
    model: Annotated[Path, typer.Option(help="A checkpoint (.pt) or a model file (.onnx).")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    split: Annotated[str, typer.Option(help="all, or the test part of official or ratio:K.")] = "all",
    reference: Annotated[
        Path | None, typer.Option(help="Also tell how far its answers are from those of this model, such as its FP32.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    plots: Annotated[Path, typer.Option(help="Folder for a scatter plot of each data set.")] = Path("plots"),
    batch: Annotated[int, typer.Option(min=1, help="Pictures that a checkpoint looks at at once.")] = 16,
    engine: Annotated[
        str, typer.Option(help="For model files: onnxruntime, openvino (far faster with INT8), tensorrt or auto.")
    ] = REFERENCE,
    weights: Annotated[
        str | None, typer.Option(help="Folder of a diffusion teacher's release, if it is no longer where it was.")
    ] = None,
) -> None:
    """Print SRCC, PLCC, KRCC and RMSE against MOS, with bootstrap 95 % intervals and per subset."""
    for file in filter(None, (model, reference)):
        if not file.is_file():
            raise InputError(f"{file}: no such file")
    results: dict[str, Any] = {"model": model.name, "split": split, "data": {}}
    if model.suffix == ".pt":
        learned = [(entry["name"], entry["split"]) for entry in load_checkpoint(model)[0]["trained_on"]]
    else:
        running = open_engine(model, engine)
        spec = running.spec
        results["weights_sha256"] = spec.weights_sha256
        results["engine"] = f"{runner(running.name)} on {processor()}"
        learned = [(entry.name, entry.split) for entry in spec.trained_on]
    asked: dict[str, Any] = {"weights": weights, "batch": batch, "engine": engine}
    for name, path in map(parse_source, data):
        divisions = sorted({how for known, how in learned if known == name})
        if may_be_known(divisions, split):
            typer.echo(f"warning: {name}: {model.name} learned on part of it ({', '.join(divisions)}), which --split "
                       f"{split} may not leave out: the figures may flatter it", err=True)  # fmt: skip
        everything = load(name, path)
        samples = tested_part(everything, split)
        if len(samples) < 2:
            raise InputError(f"{name}: {len(samples)} pictures to evaluate, at least two are needed")
        judged = judge_samples(model, samples, progress=not as_json, **asked)
        results["data"][name] = evaluate(judged, samples, everything)
        if reference:
            expected = judge_samples(reference, samples, progress=not as_json, **asked)
            results["data"][name]["drift"] = {"reference": reference.name} | drift(judged, expected)
        plots.mkdir(parents=True, exist_ok=True)
        title = f"{model.stem} on {name}, {len(samples)} pictures"
        plot_scatter(judged.score, np.array([s.mos for s in samples]), title, plots / f"{model.stem}_{name}.png")
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        _print_tables(results)


def _print_tables(results: dict[str, Any]) -> None:
    for name, whole in results["data"].items():
        table = Table(
            "", "images", "SRCC", "PLCC", "PLCC fitted", "KRCC", "RMSE", title=f"{results['model']} on {name}"
        )
        for label, row in [("all", whole), *whole["subsets"].items()]:
            figures = (row["srcc"], row["plcc"], row["plcc_fitted"], row["krcc"])
            table.add_row(label, str(row["images"]), *(f"{figure:.3f}" for figure in figures), f"{row['rmse']:.1f}")
        interval = whole["interval_95"]
        table.caption = "95 %: " + ", ".join(
            f"{key.upper()} {low:.3f} to {high:.3f}" for key, (low, high) in interval.items()
        )
        Console().print(table)
        if "drift" in whole:
            Console().print("points from {reference}: mean {mean:.2f}, largest {largest:.2f}".format(**whole["drift"]))
            if "same_cause" in whole["drift"]:
                Console().print(f"the same strongest cause: {whole['drift']['same_cause']:.1%}")
        for cause, found in whole.get("causes", {}).items():
            if found["images"]:
                Console().print(f"{cause}: strongest cause of {found['images']}, mean MOS {found['mean_mos']:.1f}")
        if "map" in whole:
            Console().print(f"mean of the map against MOS: SRCC {whole['map']['srcc']:.3f}")


if __name__ == "__main__":
    run(main)
