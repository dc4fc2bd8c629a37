"""Good pictures that the model may take for bad: night, shallow focus, drawings, text.

    python benchmarks/known_failures.py --gb82 PATH [--model FILE] [--out models/results/known_failures.jpg]

The pictures are CC0 and lossless (`gianni-rosato/gb82-image-set`), so a low score speaks against the model. They were
grouped by content before any was scored. A CSV of the predictions is written beside the sheet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure
from measured_on import measured_on

from dpiqa.errors import InputError
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.program import run

_PHOTOGRAPH, _SCREEN = "png/{}-lossless.png", "sc-png/{}.png"
GROUPS: dict[str, list[str]] = {
    "night": [_PHOTOGRAPH.format(name) for name in ("city", "night", "prudential", "rain")],
    "fog, dusk": [_PHOTOGRAPH.format(name) for name in ("haze", "sunset", "nyc", "reflect")],
    "shallow focus": [_PHOTOGRAPH.format(name) for name in ("bulb", "pixel", "guitar", "sumac")],
    "drawn by a computer": [_PHOTOGRAPH.format(name) for name in ("house", "mc1", "mc2", "mc3")],
    "text": [_SCREEN.format(name) for name in ("codec_wiki", "imac_dark", "terminal", "windows95")],
    "for comparison": [_PHOTOGRAPH.format(name) for name in ("dog", "flowers", "girl", "sand")],
}


def main(
    gb82: Annotated[Path, typer.Option(help="Path to gb82-image-set.")],
    model: Annotated[Path | None, typer.Option(help="Path to a model file (default: the shipped FP32 one).")] = None,
    engine: Annotated[str, typer.Option(help="Engine: auto, onnxruntime, openvino or tensorrt.")] = "auto",
    out: Annotated[Path, typer.Option(help="Path of the sheet to write, JPEG.")] = Path(
        "models/results/known_failures.jpg"
    ),
) -> None:
    """Score the pictures, and draw them with score and strongest cause."""
    missing = [name for names in GROUPS.values() for name in names if not (gb82 / name).is_file()]
    if missing:
        raise InputError(f"{gb82}: not gb82-image-set, it lacks {missing[0]}")
    model = model or shipped_model()
    running = open_engine(model, engine)
    columns = max(map(len, GROUPS.values()))
    figure = Figure(figsize=(2.2 * columns, 2.35 * len(GROUPS)), layout="constrained")
    grid = figure.subplots(len(GROUPS), columns)
    rows = []
    for line, (group, names) in zip(grid, GROUPS.items(), strict=True):
        for axes, name in zip(line, names, strict=True):
            image = read_picture(gb82 / name)
            prediction = running.score(image).prediction
            score, cause = prediction.score, prediction.strongest_cause() or ""
            strength = prediction.causes_by_name().get(cause, 0.0)
            rows.append({"group": group, "picture": name, "score": score, "cause": cause, "strength": strength})
            axes.imshow(image[..., ::-1])
            axes.set(xticks=[], yticks=[], title=f"{score:.0f}" + (f"  {cause} {strength:.2f}" if cause else ""))
            axes.title.set_fontsize(9)
        line[0].set_ylabel(group)
    with atomic_write(out) as target:
        figure.savefig(target, format="jpeg", dpi=100, pil_kwargs={"quality": 85})
    table = pd.DataFrame(rows)
    typer.echo(table.to_string(index=False))
    origin = {"model": model.name, "weights": running.spec.weights_sha256[:12], "machine": measured_on(running.name)}
    with atomic_write(out.with_suffix(".csv")) as target:
        table.assign(**origin).to_csv(target, index=False, float_format="%.3g")


if __name__ == "__main__":
    run(main)
