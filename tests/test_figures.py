"""Figures in the prose of README and documentation are those of the CSV and JSON files in the repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
Claim = tuple[str, str]  # a page, and words that stand in it


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "benchmarks" / name)


def _native(name: str, size: str) -> dict[str, float]:
    rows = _table(name)
    rows = rows[(rows["threads"] == 1) & (rows["format"] == "nv12") & (rows["size"] == size)]
    totals = rows[rows["stage"] == "total"]
    return dict(zip(totals["pipeline"] + " " + totals["precision"], totals["median_ms"], strict=True))


def _infer(processor: str) -> float:
    """INT8's share of FP32's inference time, 1080p NV12 on one thread."""
    rows: Any = _table(f"native_epyc_{processor}_2cores_ov2026.4.csv")
    rows = rows[(rows["threads"] == 1) & (rows["format"] == "nv12") & (rows["size"] == "1080p")]
    infer = rows[(rows["stage"] == "infer") & (rows["pipeline"] == "dpiqa")].set_index("precision")["median_ms"]
    return infer["int8"] / infer["fp32"]


def _speed() -> Iterator[Claim]:
    page, by_hand = "docs/speed.md", "opencv+onnxruntime fp32"
    times, large = (_native("native_epyc_vnni_2cores_ov2026.4.csv", size) for size in ("1080p", "4K"))
    yield page, f"INT8 at 1080p is {times[by_hand] / times['dpiqa int8']:.1f} times as fast"
    yield page, f"{times['opencv+onnxruntime, shaped fp32'] / times['dpiqa int8']:.1f} times where that one takes"
    yield page, f"FP32 is {times[by_hand] / times['dpiqa fp32']:.1f} times as fast"
    yield page, f"at 4K INT8 is {large[by_hand] / large['dpiqa int8']:.1f} times"
    shares = [_infer("vnni"), _infer("avx2")]
    yield (
        page,
        f"INT8 takes {shares[0]:.2f} of FP32's inference time with VNNI (.55 wanted) and {shares[1]:.2f} without",
    )
    others = _table("peers.csv").set_index("metric")["times"]
    fastest = others[others.index.str.startswith("pyiqa")].min()
    yield page, f"fastest takes {fastest:.1f} times as long as the INT8 model"
    yield page, f"OpenCV's BRISQUE {others['OpenCV BRISQUE, features']:.1f} times"
    fp32, int8 = _table("parity.csv").to_dict("records")
    yield (
        page,
        f"on {fp32['photographs']} photographs of BIQ2021, FP32 within {_ceiling(fp32['largest_points'])} points",
    )
    yield page, f"SRCC {int8['srcc']:.4f} (mean {int8['mean_points']:.2f}, largest {int8['largest_points']:.1f};"


def _ceiling(value: float) -> str:
    return f"{-(-value // 0.001) * 0.001:.3f}"


def _cameras() -> Iterator[Claim]:
    rows = _table("saturation.csv")
    kept = {stream: group[group["share"] >= 0.95]["cameras"].max() for stream, group in rows.groupby("stream")}
    words = f"{kept['1080p, every frame']} cameras at 1080p and 25 frames a second or {kept['640x360, every frame']} at"
    yield "docs/speed.md", words
    load = rows[(rows["stream"] == "1080p, key frames") & (rows["cameras"] == 64)]["load"].item()
    assert load == pytest.approx(1 / 3, abs=0.02)
    yield "docs/speed.md", f"with key frames alone {kept['1080p, key frames']} use a third of the machine"


def _shapes() -> Iterator[Claim]:
    change = _table("shapes.csv").set_index("aspect")["mean_change"]
    yield "docs/speed.md", f"rise by {change['16:9']:.1f} points on average, of 9:16 by {change['9:16']:.1f}"
    assert max(change["4:3"], change["3:4"]) < 1


def _memory() -> Iterator[Claim]:
    table = _table("memory.csv").pivot(index="model", columns="frames", values="resident_mb")
    peaks, resident = table.pop("peak"), table
    assert (resident["1000"] - resident["10"]).max() < 1  # it does not grow
    fp32, int8 = (f"{resident.loc[name].max():.0f} MB" for name in ("dpiqa-lite0", "dpiqa-lite0-int8"))
    highest = f"{peaks['dpiqa-lite0']:.0f} and {peaks['dpiqa-lite0-int8']:.0f} MB"
    yield "docs/embedding.md", f"{fp32} resident with the FP32 model and {int8} with INT8"
    yield "docs/embedding.md", f"{highest} at the peak, while the network is compiled"


def _firmware() -> Iterator[Claim]:
    size = _table("firmware_bundles.csv").set_index(["engine", "architecture"])["bundle_mb"]
    intel, arm = size["executorch", "x86_64"], size["executorch", "aarch64"]
    program = _table("firmware.csv").set_index("model").loc["dpiqa-lite0-int8.pte"]
    resident = f"{intel:.1f} MB with its libraries, {program['resident_mb']:.0f} MB resident"
    yield "README.md", resident
    yield "docs/embedding.md", resident
    page = "docs/firmware.md"
    sizes = (
        f"one folder of {intel:.1f} MB on x86-64 and {arm:.1f} MB on 64-bit Arm, and a model of {program['file_mb']} MB"
    )
    yield page, sizes
    yield page, f"core, CPU plugin, ONNX frontend, TBB; {size['openvino', 'x86_64']:.0f} MB"
    worst = _table("firmware_worst_case.csv").iloc[0]
    yield page, f"Over {worst['frames']:,} frames of 1080p NV12"
    yield page, f"{worst['resident_first_mb']:.1f} MB after the first frame and at **{worst['resident_mb']:.1f} MB**"
    yield (
        page,
        f"Opening took {worst['open_ms']} ms, a frame {worst['median_ms']} ms in the median, {worst['p99_ms']} ms at "
        f"the 99th percentile and {worst['longest_ms']} ms at the longest",
    )


def _monitor() -> Iterator[Claim]:
    values = _table("monitor_epyc_vnni_2cores.csv").set_index("what")["value"]
    page = "docs/monitoring.md"
    yield (
        page,
        (
            f"| {values['scores']:.1f} | {values['CPU']:.0f} % | {values['of it reading and decoding']:.0f} % | "
            f"{values['of it scoring']:.0f} % | "
            f"{values['latency, to the metric, median']:.0f} ms / {values['latency, to the metric, p99']:.0f} ms | "
            f"{values['memory, resident']:.0f} MB |"
        ),
    )
    slope = values["private memory, slope of the second half"]
    yield page, f"{values['frames dropped']:.0f} frames were dropped; private memory changed by {slope:.0f} MB an hour"
    chaos = _table("monitor_chaos_epyc_2cores.csv").set_index("what")["value"]
    longest, back = chaos["all scored again after, longest, s"], chaos["times all cameras came back"]
    yield page, f"With {chaos['actions']:.0f} such"
    yield page, f"all cameras were scored again within {longest:.1f} s, {back:.0f} times of {back:.0f}"
    assert chaos["of them after more than 10 s"] == 0
    soak = _table("monitor_soak_epyc_2cores.csv").set_index("what")["value"]
    yield page, f"memory ended at {soak['memory, resident']:.0f} MB resident"


def _bursts() -> Iterator[Claim]:
    hits = 100 * _table("bursts.csv").set_index("distortion")["hits"]
    soft = hits[["camera_shake", "motion_blur", "defocus"]]
    dark, bright = hits["underexposure"], hits["overexposure"]
    yield "docs/scoring.md", f"in {soft.min():.0f} to {soft.max():.0f} %"
    yield "docs/scoring.md", f"in {dark.min():.0f} to {dark.max():.0f} % where they were too dark"
    yield "docs/scoring.md", f"in {bright.min():.0f} to {bright.max():.0f} % where they were too bright"


def _gpu() -> Iterator[Claim]:
    model = json.loads((ROOT / "benchmarks" / "gpu_proof_h200.json").read_text())["parts"]["model"]["found"]
    fp16 = next(row for row in model["parity"] if row["precision"] == "fp16")
    fastest = next(row for row in model["speed"] if row["batch"] == 16)["pictures_per_s"]
    yield (
        "docs/embedding.md",
        (
            f"stays within {-(-fp16['score_largest_points'] // 0.1) * 0.1:.1f} points of FP32 and scores "
            f"{round(fastest, -2):,.0f} pictures a second in batches of 16"
        ),
    )


def _int8() -> Iterator[Claim]:
    """Drift of the shipped INT8 files."""

    def drift(model: str) -> tuple[list[str], list[str]]:
        files = [ROOT / "models" / "results" / f"{model}-int8-{name}.json" for name in ("biq2021", "clive")]
        rows = [json.loads(file.read_text())["data"][name]["drift"]
                for file, name in zip(files, ("biq2021", "clive"), strict=True)]  # fmt: skip
        assert all(0.85 < row["same_cause"] < 0.95 for row in rows), "nine pictures of ten"
        return [f"{row['mean']:.2f}" for row in rows], [f"{row['largest']:.1f}" for row in rows]

    (mean, largest), (mean2, largest2) = drift("dpiqa-lite0"), drift("dpiqa-lite2")
    yield (
        "docs/accuracy.md",
        (
            f"drifts by {' and '.join(mean)} points on average, and by {' and '.join(largest)} at most, "
            f"`dpiqa-lite2` by {' and '.join(mean2)}, and by {' and '.join(largest2)} at most"
        ),
    )


def _causes() -> Iterator[Claim]:
    """How often the strongest cause is right, and how much a still scene moves."""

    def right(model: str) -> list[str]:
        rows = pd.read_csv(ROOT / "models" / "results" / f"{model}-order.csv").set_index(["measure", "name"])
        columns = ["cause_right", "cause_right_1", "cause_right_5"]
        return [f"{100 * float(rows.at[('order', 'all'), column]):.0f}" for column in columns]  # type: ignore[arg-type]

    (every, faint, severe), (every2, faint2, severe2) = right("dpiqa-lite0"), right("dpiqa-lite2")
    yield (
        "docs/accuracy.md",
        (
            f"is the right one for {every} % (`dpiqa-lite2`: {every2} %), from {faint} % ({faint2} %) of the faintest "
            f"to {severe} % ({severe2} %) of the severest"
        ),
    )
    rows = pd.read_csv(ROOT / "models" / "results" / "dpiqa-lite0-order.csv").set_index("name")["value"]
    yield (
        "docs/scoring.md",
        f"the {rows['still_scene_with_noise']:.1f} points by which the score of a still scene moves",
    )


CLAIMS = [
    claim
    for claims in (_speed, _cameras, _shapes, _memory, _firmware, _monitor, _bursts, _gpu, _int8, _causes)
    for claim in claims()
]


@pytest.mark.parametrize(("page", "words"), CLAIMS, ids=[words[:60] for _, words in CLAIMS])
def test_a_figure_in_the_prose_is_the_measured_one(page: str, words: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / page).read_text())
    assert words in text
