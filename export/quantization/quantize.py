"""From an FP32 graph to INT8 Q/DQ, and how far the scores moved."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import typer

from dpiqa.errors import GateError, InputError
from dpiqa.export.gate.comparison import compare
from dpiqa.export.gate.options import MIN_CALIBRATION, MIN_PICTURES
from dpiqa.export.gate.pictures import Pictures, enough, read_pictures
from dpiqa.export.gate.report import Report
from dpiqa.export.graphs.transform import with_names
from dpiqa.export.quantization.bias_correction import correct_biases, correct_heads
from dpiqa.export.quantization.options import Method, Quantization
from dpiqa.export.quantization.qdq import int8_share
from dpiqa.export.quantization.ranges import clip_ranges
from dpiqa.export.quantization.repair import Candidates, repair
from dpiqa.export.quantization.sensitivity import sensitivity
from dpiqa.train.model_files import load_model, read_contract, save_model

# Drift has a heavy tail: a repair chosen on as many as the gate judges on is refused by it too often.
_FOR_REPAIR = 2 * MIN_PICTURES
_FOR_BIASES = 64
_FOR_SENSITIVITY = 32
_FOR_LATENCY = 16


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
