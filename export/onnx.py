"""Write a model as ONNX with its contract inside: `dpiqa export onnx --checkpoint FILE --out FILE`.

Instead of a trained student, `--graph FILE` takes an ONNX file of your own, and `--model FILE` a model file to be
written for frames of another size, or of several shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import InputError
from dpiqa.runtime.program import run

FIRST = "0.1.0"


def main(
    out: Annotated[Path, typer.Option(help="Path of the ONNX file to write.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Path to best.pt of a training run.")] = None,
    graph: Annotated[
        Path | None,
        typer.Option(help="Path to an ONNX file without contract: frames, uint8 [N, H, W, 3] in, score [N] out."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Path to a model file to write for another --size or --shapes.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Frame size; not for --graph, which has its own.")
    ] = None,
    shapes: Annotated[
        str | None,
        typer.Option(
            metavar="HxW,...", help="Frame shapes, multiples of 32: a picture gets the nearest aspect; not for --graph."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model (default: that of the file, or --model's own).")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the model (default: 0.1.0, or --model's own).")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="For --graph: what 0 to 100 means, such as 'KonIQ-10k MOS'.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights (default for a checkpoint: 'not stated').")
    ] = None,
    causes: Annotated[str, typer.Option(help="For --graph: names of its output 'causes': blur,noise,...")] = "",
) -> None:
    """Export a checkpoint and verify that ONNX Runtime gives PyTorch's scores, or add a contract to a graph."""
    from dpiqa.export.graphs.own import add_contract
    from dpiqa.export.graphs.student import export_checkpoint, resize_model
    from dpiqa.export.graphs.transform import input_of, parse_shapes, parse_size

    if sum(source is not None for source in (checkpoint, graph, model)) != 1:
        raise InputError("name one model: --checkpoint of a training run, --graph (a file of your own) or --model")
    if not graph and (scale or causes):
        raise InputError("--scale and --causes are for --graph only, a checkpoint or model file holds them")
    if size and shapes:
        raise InputError("--size and --shapes exclude each other: a single size, or several shapes")
    frames = input_of(*parse_size(size)) if size else parse_shapes(shapes) if shapes else None
    if checkpoint:
        error = export_checkpoint(checkpoint, out, name or out.stem, version or FIRST, licence or "not stated", frames)
        summary = f"at most {error:.4f} points off PyTorch"
    elif graph:
        if not scale or not licence or frames:
            raise InputError(f"{graph}: needs --scale and --licence, which it does not hold, and takes no --size")
        names = [cause.strip() for cause in causes.split(",") if cause.strip()]
        add_contract(graph, out, name or graph.stem, version or FIRST, scale, licence, names)
        summary = f"{graph} with a contract"
    elif model and frames and not licence:
        resize_model(model, out, frames, name, version)
        summary = f"{model} for frames of {size or shapes}, its scores there not verified"
    else:
        raise InputError("--model: needs --size or --shapes, and keeps its licence")
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {summary}")


if __name__ == "__main__":
    run(main)

EXAMPLE = "dpiqa export onnx --checkpoint runs/mine/best.pt --licence MIT --out mine.onnx"
