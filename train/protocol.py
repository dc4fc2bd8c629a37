"""The field's protocol for small sets: `python -m train.protocol --start CHECKPOINT --data clive=PATH --out DIR`.

Fine-tunes a student or a teacher on each of ten seeded 80/20 divisions, tests it on the remaining fifth, and reports
the medians (DP-IQA, section 4.1). Options after `--` go to train.student or train.teacher: `-- --epochs 10 --lr 1e-4`.
Without --start each run trains a new model, a teacher with `-- --prior sd15`, else a student, on this data set only.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.loop.memory import memory_advice

DIVISIONS = 10


@memory_advice()
def main(
    data: Annotated[str, typer.Option(help="NAME=PATH of a rated data set.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the runs and protocol.csv; finished divisions in it are not repeated.")
    ],
    start: Annotated[
        Path | None, typer.Option(help="best.pt or an FP32 model file, of a model not trained on this data set.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Folder of a diffusion teacher's release, if it has moved.")
    ] = None,
    options: Annotated[list[str] | None, typer.Argument(help="Options of the training command, after `--`.")] = None,
) -> None:
    """Fine-tune and test ten times, and print the median SRCC and PLCC."""
    import numpy as np
    import pandas as pd

    from dpiqa.train.data.datasets import load, parse_source
    from dpiqa.train.data.splits import split as divide
    from dpiqa.train.evaluation.scores import score_samples
    from dpiqa.train.loop.metrics import agreement
    from dpiqa.train.loop.run import hardware

    options = options or []
    name, path = parse_source(data)
    model, start_options, digest = _start(start, options, name)
    samples = load(name, path)
    verb = "teacher" if model.startswith("teacher") else "student"
    command = [sys.executable, "-m", "dpiqa", "train", verb, *start_options, "--data", data]
    command += [*(["--weights", weights] if weights else []), *options]
    run_of = {"model": model, "start": digest, "options": " ".join(options)}
    table = out / "protocol.csv"
    rows = pd.read_csv(table, keep_default_na=False, dtype={"start": str}).to_dict("records") if table.exists() else []
    if any(row[key] != value for row in rows for key, value in run_of.items()):
        raise InputError(f"{table}: from another checkpoint or with other options; choose another --out")
    for number in range(len(rows), DIVISIONS):
        division, folder = f"ratio:{number}", out / f"ratio-{number}"
        done = subprocess.run([*command, "--split", division, "--out", str(folder)], check=False)
        if done.returncode:
            raise InputError(f"{division}: the training ended with status {done.returncode}, see above")
        tested = divide(samples, division).test
        score = score_samples(folder / "best.pt", tested, weights=weights, batch=4)
        metrics = agreement(score, np.array([sample.mos for sample in tested]))
        row = {"division": number, "images": len(tested), "srcc": metrics.srcc, "plcc": metrics.plcc}
        rows.append(row | run_of | {"hardware": hardware()})
        with atomic_write(table) as file:
            pd.DataFrame(rows).round(4).to_csv(file, index=False)
        (folder / "last.pt").unlink(missing_ok=True)  # ten of a diffusion teacher would take 118 GB
        typer.echo(f"{division}: SRCC {metrics.srcc:.3f}, PLCC {metrics.plcc:.3f} on {len(tested)} pictures")
    median = pd.DataFrame(rows)[["srcc", "plcc"]].median()
    typer.echo(f"median of {DIVISIONS} divisions of {name}: SRCC {median['srcc']:.3f}, PLCC {median['plcc']:.3f}")


def _start(start: Path | None, options: list[str], data: str) -> tuple[str, list[str], str]:
    """A description of the model, the options to start from it, and the first digits of its file's digest."""
    from dpiqa.train.data.datasets import digests
    from dpiqa.train.loop.checkpoint import load_checkpoint
    from dpiqa.train.students.files import load_packed

    if start is None:
        prior = dict(pairwise(options)).get("--prior")
        return (f"teacher, {prior}" if prior else "student"), [], ""
    record = load_packed(start, None)[1] if start.suffix == ".onnx" else load_checkpoint(start).record
    if data in {entry.name for entry in record.trained_on}:
        raise InputError(f"{start}: was already trained on {data}, so its test pictures are not new")
    if record.teacher:
        model = f"teacher, {record.teacher.prior}"
    else:
        assert record.student
        model = f"student, {record.student.arch}"
    return model, ["--start", str(start)], digests([start])[0][:12]


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train protocol --start runs/mine/best.pt --data clive=PATH --out runs/protocol -- --epochs 3"
