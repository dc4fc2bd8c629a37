"""Make a folder for Hugging Face's hub: `dpiqa export hub --model FILE --card CARD --out DIR`.

The card's metadata is the contract's: licence, data sets, metrics.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import unreadable
from dpiqa.runtime.files import atomic_folder
from dpiqa.runtime.program import run


def main(
    model: Annotated[list[Path], typer.Option(help="Path to a model file; repeatable, FP32 first.")],
    card: Annotated[Path, typer.Option(help="Path to the model card, Markdown.")],
    out: Annotated[Path, typer.Option(help="Path to the folder to make.")],
) -> None:
    """Write the model files and a README whose metadata the hub reads into a folder."""
    from dpiqa.export.cards.hub import hub_metadata
    from dpiqa.train.model_files import load_model, read_contract

    spec = read_contract(load_model(model[0]), model[0])
    try:
        text = card.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(card), error) from None
    with atomic_folder(out) as folder:
        for file in model:
            shutil.copyfile(file, folder / file.name)
        (folder / "README.md").write_text(f"---\n{hub_metadata(spec)}\n---\n\n{text}")
    typer.echo(str(out))


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export hub --model models/dpiqa-lite0.onnx --card models/dpiqa-lite0.md --out runs/hub"
