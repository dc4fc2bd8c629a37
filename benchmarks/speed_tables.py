"""Tables of README, docs/speed.md, docs/int8.md and docs/firmware.md, filled in by results.py."""

from __future__ import annotations

from typing import Any

import pandas as pd

_PIPELINES = {
    ("dpiqa", "int8"): "**dpiqa** INT8",
    ("dpiqa", "fp32"): "**dpiqa** FP32",
    ("opencv+onnxruntime", "fp32"): "OpenCV and ONNX Runtime FP32 by hand, squashed to the square",
    ("opencv+onnxruntime, shaped", "fp32"): "the same at the frame's shape",
}
_METHODS = {
    "plain, max": "plain, ranges by the largest value",
    "plain, percentile 99.9": "plain, ranges at the 99.9th percentile",
    "train.qat": "`dpiqa train qat`, 2,000 pictures, two epochs at 1e-4",
    "repaired, percentile 99.9": "repaired, however little stays in INT8",
}


def native(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/native.py: NV12 frames on one thread, by frame size; the fastest pipeline in bold."""
    used: Any = rows[(rows["threads"] == 1) & (rows["format"] == "nv12")]
    lines = ["| | frame | preprocess | infer | total |", "| --- " * 5 + "|"]
    for size, frames in used.groupby("size", sort=False):
        times = frames.pivot_table("median_ms", ["pipeline", "precision"], "stage")
        for key, name in _PIPELINES.items():
            cells = [f"{times.loc[key, stage]:.1f} ms" for stage in ("preprocess", "infer", "total")]
            if times.loc[key, "total"] == times["total"].min():
                cells[-1] = f"**{cells[-1]}**"
            lines.append(f"| {name} | {size} NV12 | {' | '.join(cells)} |")
    return lines


def shapes(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/shapes.py."""
    lines = ["| aspect | input | squashed | shaped | difference |", "| --- " * 5 + "|"]
    for row in rows.to_dict("records"):
        lines.append(
            f"| {row['aspect']} | {row['height']}x{row['width']} | {row['srcc_squashed']:.3f} | "
            f"{row['srcc_shaped']:.3f} | {row['from']:.3f} to {row['to']:.3f} |"
        )
    return lines


def cores(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/cores.py."""
    lines = ["| | wanted | times | |", "| --- " * 4 + "|"]
    for row in rows.fillna("").to_dict("records"):
        lines.append(f"| {row['what']} | {row['wanted']} | {row['times']:.2f} | {row['remark']} |")
    return [*lines, "", f"{rows['machine'].iloc[0]}."]


def int8_methods(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/int8_methods.py, the largest mean drift first."""
    lines = ["| | layers in FP32 | mean drift | largest | SRCC with FP32 | SRCC drop |", "| --- " * 6 + "|"]
    for row in rows.sort_values("mean_drift", ascending=False).to_dict("records"):
        lines.append(
            f"| {_METHODS[row['method']]} | {row['layers_in_fp32']} | {row['mean_drift']:.1f} | "
            f"{row['largest_drift']:.1f} | {row['srcc']:.3f} | {max(0.0, row['srcc_drop']):.3f} |"
        )
    return lines


def peers(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/peers.py: time, memory and what each metric lacks, the fastest first."""
    lines = ["| | ms a frame | times dpiqa INT8 | peak MB | lacks |", "| --- " * 5 + "|"]
    for row in rows.fillna("").to_dict("records"):
        peak = f"{row['peak_mb']:.0f}" if row["peak_mb"] else ""
        lines.append(f"| {row['metric']} | {row['ms']:,.0f} | {row['times']:,.1f} | {peak} | {row['lacks']} |")
    return [*lines, "", f"On one thread; {rows.iloc[0]['machine']}."]


def firmware(rows: pd.DataFrame) -> list[str]:
    """Results of benchmarks/firmware.py: time, size and memory of a program in a camera."""
    lines = [
        "| model | file, MB | frame, ms | first score, ms | resident early / end / peak, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows.to_dict("records"):
        memory = " / ".join(f"{row[f'resident_{when}mb']:.0f}" for when in ("early_", "", "peak_"))
        lines.append(
            f"| {row['model']} | {row['file_mb']:.1f} | {row['frame_ms']:.1f} | {row['first_score_ms']:.0f} | "
            f"{memory} |"
        )
    return lines


def firmware_agreement(rows: pd.DataFrame) -> list[str]:
    """How far a camera's program is from ONNX files."""
    lines = [
        f"| {rows.iloc[0]['program']} program against | SRCC | mean drift | largest drift | same strongest cause | "
        "map, mean drift |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.to_dict("records"):
        lines.append(
            f"| {row['against']} | {row['srcc']:.4f} | {row['mean_drift']:.2f} | {row['largest_drift']:.2f} | "
            f"{100 * row['same_cause']:.1f} % | {row['map_mean_drift']:.2f} |"
        )
    return lines
