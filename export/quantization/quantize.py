"""From an FP32 graph to INT8 Q/DQ, and how far the scores moved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import CalibrationDataReader

from dpiqa.errors import GateError, InputError
from dpiqa.export.gate.comparison import compare
from dpiqa.export.gate.options import MIN_CALIBRATION, MIN_PICTURES
from dpiqa.export.gate.pictures import Frames, Pictures, enough, read_pictures
from dpiqa.export.gate.progress import Notify, ignore
from dpiqa.export.gate.report import Report
from dpiqa.export.graphs.model import Model
from dpiqa.export.graphs.transform import with_names
from dpiqa.export.quantization.bias_correction import correct_biases, correct_heads
from dpiqa.export.quantization.headroom import with_headroom
from dpiqa.export.quantization.options import Method, Quantization
from dpiqa.export.quantization.qdq import int8_share
from dpiqa.export.quantization.ranges import clip_ranges
from dpiqa.export.quantization.repair import Candidates, repair
from dpiqa.export.quantization.sensitivity import sensitivity
from dpiqa.train.model_files import load_model, weights_sha256
from dpiqa.train.students.quiet import modelopt_silenced

# Drift has a heavy tail: the gate too often refuses a repair chosen on as few pictures as the gate itself uses.
_FOR_REPAIR = 2 * MIN_PICTURES
_FOR_BIASES = 64
_FOR_SENSITIVITY = 32
_FOR_LATENCY = 16


class _Reader(CalibrationDataReader):
    """Frames one by one, as modelopt and ONNX Runtime ask for them; their shapes may differ."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.rewind()

    def rewind(self) -> None:
        self._left = iter(self._frames)

    def get_first(self) -> dict[str, np.ndarray]:
        return {"frames": self._frames[0][None]}

    def get_next(self) -> Any:  # a mapping as above, None at the end
        frame = next(self._left, None)
        return None if frame is None else {"frames": frame[None]}


def insert_qdq(graph: onnx.ModelProto, frames: Frames, method: Method, percentile: float = 99.99) -> onnx.ModelProto:
    """Insert symmetric Q/DQ pairs (per-channel weights) with modelopt, ranges from uint8 `frames` `[N, H, W, 3]`.

    Nodes are named as `with_names` does.
    """
    original = with_names(graph)
    with TemporaryDirectory() as folder:
        fp32, int8 = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        onnx.save(original, fp32)
        with modelopt_silenced():
            from modelopt.onnx.quantization import quantize  # takes seconds

            quantize(
                str(fp32),
                quantize_mode="int8",
                calibration_data_reader=_Reader(frames),
                calibration_method="entropy" if method == "entropy" else "max",
                calibration_eps=["cpu"],
                high_precision_dtype="fp32",
                output_path=str(int8),
                dq_only=True,  # weights stored as int8: a quarter of the size
                log_level="ERROR",
            )
        quantized = load_model(int8)
    if method == "percentile":
        return clip_ranges(quantized, original, frames, percentile, progress=True)
    return quantized


def divide(
    pictures: Pictures, images: int, with_repair: bool, few: bool, text: str
) -> tuple[Pictures, Pictures, Pictures]:
    """Disjoint pictures for calibration, for choosing a repair (none unless `with_repair`) and for the gate.

    The gate is served first; the repair gets what it leaves, up to twice as many. With `few`, all are shared out.
    Raises InputError when there are too few.
    """
    parts = 3 if with_repair else 2
    calibrating = min(images, len(pictures) // parts) if few else images
    rest = len(pictures) - calibrating
    choosing = min(_FOR_REPAIR, max(rest - MIN_PICTURES, rest // 2)) if with_repair else 0
    for_calibration = enough(pictures[:calibrating], text, 1 if few else MIN_CALIBRATION)
    end = calibrating + choosing
    for_repair, for_gate = pictures[calibrating:end], pictures[end : end + MIN_PICTURES]
    if not few and len(for_gate) < MIN_PICTURES:
        required = images + MIN_PICTURES * (parts - 1)
        raise InputError(
            f"{text}: {len(pictures)} pictures, {required} are needed to calibrate and to compare on others "
            "(--allow-few takes what is there)"
        )
    return for_calibration, for_repair, for_gate


def quantize(model: Model, settings: Quantization, notify: Notify = ignore) -> tuple[Model, Report]:
    """Quantize an FP32 model to INT8, and compare both on pictures that nothing was chosen on.

    `deliver` decides whether the result keeps the budget. Where no repair is enough, it is the unrepaired model, and
    the report holds the reason to refuse it. `notify` receives lines of progress. Raises InputError for too few
    pictures.
    """
    pictures = read_pictures(
        settings.calibration,
        model.spec.input,
        settings.images + MIN_PICTURES + _FOR_REPAIR * settings.auto_repair,
        settings.seed,
    )
    calibration, selection, unseen = divide(
        pictures, settings.images, settings.auto_repair, settings.allow_few, settings.calibration
    )
    notify(f"calibrating on {len(calibration)} pictures from {settings.calibration} ({settings.method})")
    original = with_names(model.graph)
    plain = with_headroom(insert_qdq(original, calibration.frames, settings.method, settings.percentile), original)
    if settings.bias_correction:
        plain = correct_biases(plain, original, calibration.frames[:_FOR_BIASES], progress=True)
    drifts: dict[str, float] = {}
    if settings.keep or settings.auto_repair:
        drifts = sensitivity(plain, original, calibration.frames[:_FOR_SENSITIVITY], progress=True)
    candidates = Candidates(plain, original, list(drifts))
    in_fp32, refusal = list(drifts)[: settings.keep], None
    if settings.auto_repair:
        try:
            in_fp32 = repair(candidates, selection, settings.budget, settings.min_int8, notify)
        except GateError as error:
            refusal = str(error)
    result = candidates.keeping(in_fp32)
    if settings.bias_correction:
        result = correct_heads(result, original, calibration.frames[:_FOR_BIASES])
    quantized = Model(result, model.spec).declaring(
        precision="int8", evaluated_on=(), weights_sha256=weights_sha256(result)
    )
    comparison = compare(model.engine(), quantized.engine(), unseen, progress=True)
    kept = ", ".join(f"{name} ({drifts[name]:.2f} points alone)" for name in in_fp32) or "no quantized layer"
    notify(f"kept in FP32: {kept}; INT8: {int8_share(result):.1%} of the convolutions' work")
    manifest = _manifest(quantized, calibration, in_fp32, settings)
    if in_fp32:
        pair = compare(quantized._replace(graph=plain).engine(), quantized.engine(), unseen[:_FOR_LATENCY])
        before_ms, after_ms = pair.reference_latency_ms, pair.candidate_latency_ms
        manifest["repair_latency_ms"] = {"before": before_ms, "after": after_ms}
        notify(f"the repair costs {after_ms - before_ms:+.1f} ms/picture")
    report = Report("INT8 against FP32", comparison, drifts or None, manifest, budget=settings.budget, refusal=refusal)
    return quantized, report


def _manifest(model: Model, pictures: Pictures, in_fp32: Sequence[str], settings: Quantization) -> dict[str, Any]:
    calibration: Mapping[str, Any] = {
        "method": settings.method,
        "pictures": len(pictures),
        "sha256": pictures.sha256,
        "seed": settings.seed,
        **({"percentile": settings.percentile} if settings.method == "percentile" else {}),
        "bias_correction": settings.bias_correction,
    }
    return {
        "model": json.loads(model.spec.to_json()),
        "calibration": calibration,
        "kept_in_fp32": list(in_fp32),
        "int8_share_of_convolutions": int8_share(model.graph),
        "versions": {name: version(name) for name in ("nvidia-modelopt", "onnx", "onnxruntime")},
    }
