"""Teach a student causes and a map, its scores untouched: `python -m train.heads --start FILE --data ... --out DIR`.

The trunk stays as it is, so that it looks at every picture once: the map learns as they pass, the causes afterwards, in
many epochs, from what the trunk saw. That is kept in `seen.pt` (14 kB a picture with Lite0), so that looking, which
takes long, is not done twice; a run that was killed while it looked begins anew.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run
from dpiqa.train.data.options import AUTO, DIVISIONS
from dpiqa.train.distortions.options import LEAST_MOS, FaultWeights, Folders, LeastMos
from dpiqa.train.loop.memory import memory_advice
from dpiqa.train.loop.recipe import HeadRecipe


@memory_advice("use a smaller --batch or fewer --pictures")
def main(
    start: Annotated[Path, typer.Option(help="Student to teach: a checkpoint, or an FP32 model file.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; may be given several times.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint and its log; what a run there saw is not repeated.")
    ],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    arch: Annotated[str | None, typer.Option(help="The trunk of a model file, by default Lite0.")] = None,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    pictures: Annotated[int, typer.Option(min=3, help="How many made pictures to learn from.")] = HeadRecipe.pictures,
    epochs: Annotated[int, typer.Option(min=1, help="Of the causes, on what was seen.")] = HeadRecipe.epochs,
    batch: Annotated[int, typer.Option(min=4)] = HeadRecipe.batch,
    lr: Annotated[float, typer.Option(min=0)] = HeadRecipe.lr,
    seed: Annotated[int, typer.Option(min=0)] = HeadRecipe.seed,
) -> None:
    """Learn causes and map from made faults, and leave every score as it is."""
    import pandas as pd
    import torch

    from dpiqa.runtime.spec import InputSpec
    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.distortions.plan import plan_faults
    from dpiqa.train.loop.checkpoint import State, weights_sha256
    from dpiqa.train.loop.fit import keep_freed_memory
    from dpiqa.train.loop.processes import accelerator
    from dpiqa.train.loop.record import record_run
    from dpiqa.train.students.files import load_start, with_heads
    from dpiqa.train.students.heads import check_batch, look_once, name_causes

    keep_freed_memory()
    student, before = load_start(start, arch)
    recipe = HeadRecipe(pictures, batch=batch, epochs=epochs, lr=lr, seed=seed)
    spec = InputSpec(**before["input"])
    whole, trained_on = load_parts(data, split, seed)
    plan = plan_faults(recipe.share, pristine, pristine_mos, FaultWeights(order=0), whole.train, seed)
    assert plan
    digest = weights_sha256(student)
    torch.manual_seed(seed)
    student = with_heads(with_heads(student, {}), plan.heads)  # new ones, also where --start has some
    student.freeze(student.trunk, student.head)
    student.train()
    trained_on += plan.photographs
    trained_on = [entry for entry in before["trained_on"] if entry not in trained_on] + trained_on
    about = {"student": student.config, "input": spec.model_dump(), "trained_on": trained_on, "begun": digest,
             "frozen": ["score"]} | plan.about  # fmt: skip

    lessons = plan.lessons(RatedFrames(whole.train, spec, min(spec.height, spec.width), seed))
    check_batch(lessons, recipe)
    shown = {"lessons_sha256": lessons.sha256()}
    out.mkdir(parents=True, exist_ok=True)
    student.to(accelerator("fp32").device)
    seen = look_once(student, lessons, recipe, about | shown, out)
    began = time.monotonic()
    loss = name_causes(student.cause_head, seen, recipe)
    seconds = seen.seconds + time.monotonic() - began
    student.eval()
    row = {"cause_loss": loss, "map_loss": seen.map_loss} | plan.check(student.outputs, spec)(student)
    row |= {"train_seconds": round(seconds, 1)}

    State({"ema": student}, recipe, about).save(out / "best.pt")
    with atomic_write(out / "log.csv") as file:
        pd.DataFrame([row]).to_csv(file, index=False)
    parameters = sum(weight.numel() for weight in student.parameters())
    record_run(out, about | shown, command="train.heads", start=f"a student of weights {digest[:12]}",
               recipe=asdict(recipe), parameters=parameters)  # fmt: skip
    typer.echo("  ".join(f"{name} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train heads --start runs/mine/best.pt --data csv=scores.csv --pristine PHOTOS --out runs/mine-heads"
