"""Score pictures on a Triton server: `python client.py --server localhost:8001 --model dpiqa-lite0 photo.jpg`.

Needs dpiqa-edge and `pip install "tritonclient[grpc]"`. Size and resize rule come from the contract in the served
model's configuration, so the scores are those of `dpiqa score` with the served file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from dpiqa.errors import ContractError, EngineError
from dpiqa.runtime.pictures import read_picture
from dpiqa.runtime.preprocess import to_input
from dpiqa.runtime.program import run
from dpiqa.runtime.spec import METADATA_KEY, parse_spec


def main(
    pictures: Annotated[list[Path], typer.Argument(help="Paths of the pictures to score.")],
    server: Annotated[str, typer.Option(help="gRPC address of the server.")] = "localhost:8001",
    model: Annotated[str, typer.Option(help="Name of the served model.")] = "dpiqa-lite0",
) -> None:
    """Print one line per picture: its path and its score, 0 (bad) to 100 (excellent)."""
    try:
        with InferenceServerClient(server) as client:
            config = client.get_model_config(model).config  # type: ignore[union-attr]
            if METADATA_KEY not in config.parameters:
                raise ContractError(
                    f"{server}/{model}: its configuration has no contract; dpiqa export triton writes one"
                )
            spec = parse_spec(config.parameters[METADATA_KEY].string_value, f"{server}/{model}")
            for picture in pictures:
                row = to_input(read_picture(str(picture)), spec.input)[None]
                frames = InferInput("frames", list(row.shape), "UINT8")
                frames.set_data_from_numpy(row)
                scores = np.asarray(client.infer(model, [frames]).as_numpy("score"))  # type: ignore[union-attr]
                typer.echo(f"{picture}\t{scores.item():.2f}")
    except InferenceServerException as error:
        raise EngineError(f"{server}/{model}: {error.message()}") from None


if __name__ == "__main__":
    run(main)
