"""Quantize a model to INT8 Q/DQ and prove it: `python -m export.int8 --model FILE --calibration DIR --out FILE`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import numpy as np
import onnx
import typer

from runtime.command import run
from runtime.errors import GateError, InputError
from train.contract import load_model, read_contract, save_model

from .bias_correction import correct_biases, correct_heads
from .calibration import MIN_CALIBRATION, SOURCES, Pictures, enough, read_pictures
from .comparison import MIN_PICTURES, Budget, compare
from .graphs import with_names
from .ranges import clip_ranges
from .repair import Candidates, repair
from .report import Report
from .sensitivity import int8_share, sensitivity
from .verify import deliver

Method = Literal["max", "entropy", "percentile"]
# Drift has a heavy tail: a repair chosen on as many as the gate judges on is refused by it too often.
_FOR_REPAIR = 2 * MIN_PICTURES
_FOR_BIASES = 64
_FOR_SENSITIVITY = 32
_FOR_LATENCY = 16


@dataclass(frozen=True)
class Quantization:
    """How an FP32 model becomes INT8, and what that may cost; `main` tells what each is.

    Raises InputError for choices that contradict each other.
    """

    calibration: str
    budget: Budget
    images: int = 300
    allow_few: bool = False
    method: Method = "percentile"
    percentile: float = 99.99
    keep: int = 0
    auto_repair: bool = False
    min_int8: float = 0.95
    seed: int = 0
    bias_correction: bool = True

    def __post_init__(self) -> None:
        if self.keep and self.auto_repair:
            raise InputError("--keep and --auto-repair exclude each other: one says how many layers, one finds out")
        if self.images < MIN_CALIBRATION and not self.allow_few:
            raise InputError(
                f"--images {self.images}: calibration needs at least {MIN_CALIBRATION} (--allow-few insists)"
            )


def quantize_onnx(model: Path, frames: np.ndarray, method: Method, percentile: float = 99.99) -> onnx.ModelProto:
    """Insert symmetric Q/DQ pairs (per-channel weights) with modelopt, ranges from uint8 `frames` `[N, H, W, 3]`.

    Nodes are named as `with_names` does.
    """
    from modelopt.onnx.quantization import quantize  # takes seconds and logs to the console

    chatter = io.StringIO()
    logging.getLogger("modelopt").setLevel(logging.ERROR)
    original = with_names(load_model(model))
    with TemporaryDirectory() as folder:
        named, out = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        onnx.save(original, named)
        with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # modelopt's and its dependencies' own
            quantize(
                str(named),
                quantize_mode="int8",
                calibration_data={"frames": frames},
                calibration_method="entropy" if method == "entropy" else "max",
                calibration_eps=["cpu"],
                high_precision_dtype="fp32",
                output_path=str(out),
                dq_only=True,  # weights stored as int8: a quarter of the size
                log_level="ERROR",
            )
        quantized = load_model(out)
    if method == "percentile":
        return clip_ranges(quantized, original, frames, percentile, progress=True)
    return quantized


def divide(
    pictures: Pictures, images: int, choosing: bool, few: bool, text: str
) -> tuple[Pictures, Pictures, Pictures]:
    """Pictures to calibrate on, to choose a repair on (none unless `choosing`) and to judge on, none of them twice.

    The gate comes first; what it leaves goes to the choice, up to twice as many. With `few`, all is shared out. Raises
    InputError when there are too few.
    """
    parts = 3 if choosing else 2
    calibrating = min(images, len(pictures) // parts) if few else images
    rest = len(pictures) - calibrating
    chosen = calibrating + (min(_FOR_REPAIR, max(rest - MIN_PICTURES, rest // 2)) if choosing else 0)
    divided = enough(pictures[:calibrating], text, 1 if few else MIN_CALIBRATION), pictures[calibrating:chosen]
    judged = pictures[chosen : chosen + MIN_PICTURES]
    if not few and len(judged) < MIN_PICTURES:
        needed = images + MIN_PICTURES * (parts - 1)
        raise InputError(
            f"{text}: {len(pictures)} pictures, {needed} are needed to calibrate and to judge on others "
            "(--allow-few takes what is there)"
        )
    return *divided, judged


def quantize(model: Path, out: Path, how: Quantization, title: str) -> Report:
    """Write `model` as INT8 to `out`, and compare it with FP32 on pictures that nothing was chosen on.

    The file is not judged yet: `deliver` does that. Where no repair will do it is the unrepaired model, and the report
    says why it must be refused. Raises InputError for a model that is not FP32 and for too few pictures.
    """
    graph = with_names(load_model(model))
    spec = read_contract(graph, model)
    if spec.precision != "fp32":
        raise InputError(f"{model}: is {spec.precision}, quantization starts from an fp32 model")
    wanted = how.images + MIN_PICTURES + _FOR_REPAIR * how.auto_repair
    pictures = read_pictures(how.calibration, spec.input, wanted, how.seed)
    used, chosen_on, unseen = divide(pictures, how.images, how.auto_repair, how.allow_few, how.calibration)
    typer.echo(f"calibrating on {len(used)} pictures from {how.calibration} ({how.method})")
    plain = quantize_onnx(model, used.frames, how.method, how.percentile)
    if how.bias_correction:
        plain = correct_biases(plain, graph, used.frames[:_FOR_BIASES], progress=True)
    drifts: dict[str, float] = {}
    if how.keep or how.auto_repair:
        drifts = sensitivity(plain, graph, used.frames[:_FOR_SENSITIVITY], progress=True)
    candidates = Candidates(plain, graph, list(drifts))
    kept, refusal = list(drifts)[: how.keep], None
    if how.auto_repair:
        try:
            kept = repair(candidates, chosen_on, how.budget, how.min_int8, typer.echo)
        except GateError as error:
            refusal = str(error)
    result = candidates.keeping(kept)
    if how.bias_correction:
        result = correct_heads(result, graph, used.frames[:_FOR_BIASES])
    spec = spec.model_copy(update={"precision": "int8", "evaluated_on": ()})
    save_model(result, spec, out)
    found = compare(model, out, unseen.frames, unseen.names, progress=True, mos=unseen.mos)
    told = ", ".join(f"{name} ({drifts[name]:.2f} points alone)" for name in kept) or "no quantized layer"
    typer.echo(f"kept in FP32: {told}; INT8: {int8_share(result):.1%} of the convolutions' work")
    manifest = {
        "model": json.loads(read_contract(load_model(out), out).to_json()),
        "calibration": {"method": how.method, "pictures": len(used), "sha256": used.sha256, "seed": how.seed}
        | ({"percentile": how.percentile} if how.method == "percentile" else {})
        | {"bias_correction": how.bias_correction},
        "kept_in_fp32": kept,
        "int8_share_of_convolutions": int8_share(result),
        "versions": {name: version(name) for name in ("nvidia-modelopt", "onnx", "onnxruntime")},
    }
    if kept:
        with TemporaryDirectory() as folder:
            unrepaired = Path(folder, "plain.onnx")
            save_model(plain, spec, unrepaired)
            pair = compare(unrepaired, out, unseen.frames[:_FOR_LATENCY], unseen.names)
        manifest["repair_latency_ms"] = {"before": pair.reference_latency_ms, "after": pair.candidate_latency_ms}
        typer.echo(f"the repair costs {pair.candidate_latency_ms - pair.reference_latency_ms:+.1f} ms a picture")
    return Report(title, found, drifts or None, manifest, budget=how.budget, refusal=refusal)


def main(
    model: Annotated[Path, typer.Option(help="An FP32 model file with a contract.")],
    calibration: Annotated[str, typer.Option(help=f"Pictures like those that the model will see: {SOURCES}.")],
    out: Annotated[Path, typer.Option(help="The INT8 model file to write.")],
    images: Annotated[int, typer.Option(min=1, help="How many pictures to calibrate on.")] = 300,
    allow_few: Annotated[bool, typer.Option(help="Calibrate and judge on however few pictures there are.")] = False,
    method: Annotated[Method, typer.Option(help="How ranges are chosen.")] = "percentile",
    percentile: Annotated[float, typer.Option(min=50, max=100, help="For --method percentile.")] = 99.99,
    keep: Annotated[int, typer.Option(min=0, help="How many of the most sensitive layers stay in FP32.")] = 0,
    auto_repair: Annotated[bool, typer.Option(help="Keep the few layers in FP32 that the budget asks for.")] = False,
    min_int8: Annotated[
        float, typer.Option(min=0, max=1, help="Share of convolutions' work that --auto-repair leaves in INT8.")
    ] = 0.95,
    max_srcc_drop: Annotated[float, typer.Option(min=0)] = Budget.srcc_drop,
    max_drift: Annotated[float, typer.Option(min=0, help="Of a single picture, in points of 100.")] = Budget.drift,
    max_mean_drift: Annotated[float, typer.Option(min=0)] = Budget.mean_drift,
    report: Annotated[Path | None, typer.Option(help="The report; by default OUT with the suffix .html.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the pictures.")] = 0,
    bias_correction: Annotated[bool, typer.Option(help="Make good the mean error of each channel and neuron.")] = True,
) -> None:
    """Quantize, compare with FP32 on pictures that nothing was chosen on, and write the file if the budget is kept."""
    budget = Budget(max_srcc_drop, max_drift, max_mean_drift, 1 if allow_few else MIN_PICTURES)
    how = Quantization(calibration, budget, images, allow_few, method, percentile, keep, auto_repair, min_int8, seed,
                       bias_correction)  # fmt: skip
    with TemporaryDirectory() as folder:
        candidate = Path(folder, out.name)
        deliver(candidate, out, quantize(model, candidate, how, f"{out.name}: INT8 against FP32"), report)


if __name__ == "__main__":
    run(main)
