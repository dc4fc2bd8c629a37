"""Add causes and a map to a student, its scores unchanged: `python -m train.heads --start FILE --data ... --out DIR`.

The trunk is frozen, so it runs only once per picture: the map learns from its features as they are computed, the causes
afterwards, for many epochs, from stored features. They are kept in `seen.pt` (14 kB per picture with Lite0), so that a
second run does not repeat this slow part; a run that was killed before they were complete starts over.
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
from dpiqa.train.distortions.options import LEAST_MOS, Folders, LeastMos
from dpiqa.train.loop.memory import memory_advice
from dpiqa.train.loop.recipe import DistortionWeights, HeadRecipe


@memory_advice("use a smaller --batch or fewer --pictures")
def main(
    start: Annotated[Path, typer.Option(help="Student to extend: a checkpoint or an FP32 model file.")],
    data: Annotated[list[str], typer.Option(help="NAME=PATH of a rated data set; repeatable.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint and its log; features stored there are not computed again.")
    ],
    split: Annotated[str, typer.Option(help=DIVISIONS)] = AUTO,
    arch: Annotated[str | None, typer.Option(help="Trunk of a model file; by default Lite0.")] = None,
    pristine: Folders = None,
    pristine_mos: LeastMos = LEAST_MOS,
    pictures: Annotated[
        int, typer.Option(min=3, help="Number of distorted pictures to learn from.")
    ] = HeadRecipe.pictures,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of the causes, on the stored features.")
    ] = HeadRecipe.epochs,
    batch: Annotated[int, typer.Option(min=4, help="Pictures per step.")] = HeadRecipe.batch,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate.")] = HeadRecipe.lr,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = HeadRecipe.seed,
) -> None:
    """Learn causes and a map from distorted pictures, and leave every score unchanged."""
    import pandas as pd
    import torch

    from dpiqa.train.data.frames import RatedFrames
    from dpiqa.train.data.splits import load_parts
    from dpiqa.train.distortions.plan import plan_distortions
    from dpiqa.train.loop.checkpoint import State, state_sha256
    from dpiqa.train.loop.fit import keep_freed_memory
    from dpiqa.train.loop.processes import accelerator
    from dpiqa.train.loop.record import RunRecord, StudentConfig
    from dpiqa.train.loop.run import record_run
    from dpiqa.train.students.files import load_start, with_heads
    from dpiqa.train.students.heads import check_batch, extract_features, train_causes

    keep_freed_memory()
    student, earlier = load_start(start, arch)
    recipe = HeadRecipe(pictures, batch=batch, epochs=epochs, lr=lr, seed=seed)
    spec = earlier.input
    whole, trained_on = load_parts(data, split, seed)
    plan = plan_distortions(recipe.share, pristine, pristine_mos, DistortionWeights(order=0), whole.train, seed)
    assert plan
    digest = state_sha256(student)
    torch.manual_seed(seed)
    student = with_heads(with_heads(student, {}), plan.heads)  # new heads, even if --start has some
    student.freeze(student.trunk, student.head)
    student.train()
    trained_on += plan.photographs
    record = RunRecord(
        student=StudentConfig(**student.config),
        input=spec,
        trained_on=(*(entry for entry in earlier.trained_on if entry not in trained_on), *trained_on),
        start_sha256=digest,
        frozen=("score",),
        distortions=plan.record,
    )

    frames = plan.frames(RatedFrames(whole.train, spec, min(spec.height, spec.width), seed))
    check_batch(frames, recipe)
    frames_sha256 = {"lessons_sha256": frames.sha256()}
    out.mkdir(parents=True, exist_ok=True)
    student.to(accelerator("fp32").device)
    features = extract_features(student, frames, recipe, record.to_dict() | frames_sha256, out)
    began = time.monotonic()
    loss = train_causes(student.cause_head, features, recipe)
    seconds = features.seconds + time.monotonic() - began
    student.eval()
    row = {"cause_loss": loss, "map_loss": features.map_loss} | plan.check(student.outputs, spec)(student)
    row |= {"train_seconds": round(seconds, 1)}

    State({"ema": student}, recipe, record).save(out / "best.pt")
    with atomic_write(out / "log.csv") as file:
        pd.DataFrame([row]).to_csv(file, index=False)
    parameters = sum(weight.numel() for weight in student.parameters())
    record_run(out, record, **frames_sha256, command="train.heads", start=f"a student of weights {digest[:12]}",
               recipe=asdict(recipe), parameters=parameters)  # fmt: skip
    typer.echo("  ".join(f"{name} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train heads --start runs/mine/best.pt --data csv=scores.csv --pristine PHOTOS --out runs/mine-heads"
