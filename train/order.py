"""Check that scores fall as a distortion grows, and stay when nothing changes: `python -m train.order --model FILE`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.program import run


def main(
    model: Annotated[Path, typer.Option(help="A checkpoint (.pt) or a model file.")],
    pictures: Annotated[str, typer.Option(help="Folder of good photographs that the model was not trained on.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write.")],
    count: Annotated[int, typer.Option(min=1, help="Number of photographs, in order of their names.")] = 20,
    still: Annotated[int, typer.Option(min=1, help="Number of these for the stability.")] = 5,
    engine: Annotated[str, typer.Option(help="Engine: auto, onnxruntime, openvino, tensorrt or executorch.")] = "auto",
) -> None:
    """Measure how often the stronger of two adjacent levels of a distortion scores at most one point higher.

    For a model that names causes, also how often the strongest cause is right.
    """
    import cv2
    import numpy as np
    import pandas as pd

    from dpiqa.runtime.machine import processor
    from dpiqa.runtime.pictures import read_picture
    from dpiqa.runtime.sources import expand, is_video
    from dpiqa.train.distortions.reference import at_reference_size
    from dpiqa.train.evaluation.order import open_model, table

    if not model.is_file():
        raise InputError(f"{model}: no such file")
    predict, engine_name = open_model(model, engine)
    files = list(islice((file for file in expand(pictures) if not is_video(file)), count))
    if not files:
        raise InputError(f"{pictures}: no picture in it")
    images = [at_reference_size(read_picture(file)) for file in files]
    with atomic_write(out) as file:
        rows = table(predict, images, still, progress=True)
        machine = f"{processor()}, {engine_name}, OpenCV {cv2.__version__}"
        results = pd.DataFrame(rows).assign(
            photographs="/".join(Path(pictures).resolve().parts[-2:]), model=model.name, machine=machine
        )
        results["pictures"] = np.where(results["measure"] == "stability", min(still, len(images)), len(images))
        results.to_csv(file, index=False, float_format="%.4g")
    for row in rows:
        causes = f"  cause right {row['cause_right']:.3f}" if "cause_right" in row else ""
        typer.echo(f"{row['measure']:10}{row['name']:24}{row['value']:8.3f}{causes}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa train order --model mine.onnx --pictures PHOTOS --out order.csv"
