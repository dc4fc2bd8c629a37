"""Gathers what the parts of gpu_proof.sh left in its work folder: one JSON, and a table. Needs Python alone.

With `--part` it prints that part's rows, else the whole table; ends with 1 if a part failed and the table is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = tuple[str, str, str]
NO_GPU = 77
SANITIZERS = ("memcheck", "racecheck", "initcheck")
TEACHERS = {"teacher": "teacher", "vit": "ViT-S/14"}


def first_line(*command: str) -> str | None:
    """What a program says first, None where there is no such program."""
    if not shutil.which(command[0]):
        return None
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(ended.stdout.strip().splitlines()), None) if ended.returncode == 0 else None


def machine() -> dict[str, Any]:
    """The hardware and the versions that the metrics depend on."""
    processor = next(
        (line.partition(":")[2].strip() for line in read(Path("/proc/cpuinfo")).splitlines() if "model name" in line),
        platform.machine(),
    )
    gpu = first_line("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    release = re.search(r"release [\d.]+, (V[\d.]+)", read_output(nvcc, "--version"))
    return {"gpu": gpu, "processor": processor, "cores": os.cpu_count(), "python": platform.python_version(),
            "nvcc": release[1] if release else None}  # fmt: skip


def read_output(*command: str) -> str:
    """All that a program says, nothing where it does not run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def read(path: Path) -> str:
    """A file's text, nothing where it is absent."""
    return path.read_text(errors="replace") if path.is_file() else ""


def json_lines(text: str) -> list[dict[str, Any]]:
    """The objects in a program's output; other lines, and one that is cut off, are passed over."""
    documents = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                documents.append(json.loads(line))
            except ValueError:
                continue
    return documents


def part_of(work: Path, name: str, code: int, seconds: int, limit: int) -> dict[str, Any]:
    """How a part ended and what it found."""
    ended = "passed" if code == 0 else "ended by its time limit" if code in (124, 137) else f"failed with {code}"
    errors = read(work / f"{name}.err")
    result: dict[str, Any] = {
        "ended": "left out: no GPU" if code == NO_GPU else ended,
        "seconds": seconds,
        "limit_s": limit,
    }
    if code not in (0, NO_GPU):
        result["last_words"] = (errors or read(work / f"{name}.out")).strip()[-1500:]
    if name in SANITIZERS:
        whole = read(work / f"{name}.out") + errors
        summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY:.*", whole)
        return result | {"summary": summary[-1] if summary else None, "lines": len(json_lines(whole))}
    file = work / f"{name}.json"
    if file.is_file():
        result |= {"found": json.loads(file.read_text())}
        if code == 0 and result["found"].get("passed") is False:
            result["ended"] = "failed: a check does not hold"
    elif lines := json_lines(read(work / f"{name}.out")):
        result |= {"found": lines}
    return result


def gather(work: Path) -> dict[str, Any]:
    """Everything so far."""
    known = work / "machine.json"
    if not known.is_file():
        known.write_text(json.dumps(machine()))
    parts: dict[str, Any] = {}
    for line in read(work / "parts.txt").splitlines():
        name, *numbers = line.split()
        parts[name] = part_of(work, name, *map(int, numbers))
    left_out = read(work / "left_out.txt").splitlines()
    for part in parts.values():
        if isinstance(part.get("found"), dict):
            left_out += part["found"].get("left_out", [])
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": json.loads(known.read_text()),
        "failed": [name for name, part in parts.items() if part["ended"].startswith(("failed", "ended"))],
        "left_out": left_out,
        "parts": parts,
    }


def preprocess_row(line: dict[str, Any]) -> Row | None:
    """One line of the CUDA program."""
    sign = "" if line.get("passed", True) else "FAILED: "
    section = line["section"]
    if "error" in line:
        return section, "error", f"FAILED: {line['error']}"
    if section in ("golden", "golden_cpu", "random"):
        against = {"golden": "golden vectors", "golden_cpu": "CPU, golden frames", "random": "CPU, random frames"}[
            section
        ]
        return (f"{line['format']} against {against}", f"{line['cases']} frames",
                f"{sign}worst {line['worst_levels']} levels, {line['samples_beyond_1_level']} of {line['samples']} "
                f"samples beyond 1 level, {line['unequal_samples']} unequal")  # fmt: skip
    if section == "two_streams":
        return (f"two streams, {line['driven_by']}", f"{line['tables']}, copy engine {line['copy_engine']}",
                f"{sign}{line['wrong_frames']} of {line['frames']} frames wrong")  # fmt: skip
    if section == "late_copy":
        return (f"late copy, {line['way']}", f"{line['bytes']} bytes, copy engine {line['copy_engine']}",
                f"{sign}{line['late_rounds']} of {line['rounds']} rounds late")  # fmt: skip
    if section == "latency":
        size = f"{line['width_pixels']}x{line['height_pixels']}"
        return (f"preprocessing {line['format']} {size}", f"{line['memory']} memory",
                f"p50 {line['p50_ms']:.3f} ms, p99 {line['p99_ms']:.3f} ms")  # fmt: skip
    return None


def model_rows(results: dict[str, Any]) -> list[Row]:
    """Parity and speed of the student."""
    rows = [parity_row("model", row) for row in results.get("parity", [])]
    for row in results.get("speed", []):
        rows.append((f"model {row['precision']}, batch {row['batch']}", "CUDA graph" if row["cuda_graph"] else "plain",
                     f"p50 {row['p50_ms']:.3f} ms, p99 {row['p99_ms']:.3f} ms, {row['pictures_per_s']:.0f} pictures/s, "
                     f"{row['cameras_at_25_fps']} cameras at 25 frames/s"))  # fmt: skip
    return rows


def step_row(name: str, setting: str, results: dict[str, Any]) -> Iterator[Row]:
    """Speed and memory of a run's steps."""
    if "median_s_per_step" in results:
        yield (f"{name}'s step", setting, f"{results['median_s_per_step']:.3f} s, {results['pictures_per_s']:.1f} "
               f"pictures/s, over {results['steps']} steps")  # fmt: skip
    if "peak_allocated_gb" in results:
        yield (f"{name}'s memory", "peak", f"{results['peak_allocated_gb']:.1f} GB allocated, "
               f"{results['peak_reserved_gb']:.1f} GB reserved")  # fmt: skip


def teacher_rows(name: str, results: dict[str, Any]) -> Iterator[Row]:
    """Training steps, memory, kill and resume."""
    about = results.get("about") or {}
    setting = (f"{about.get('parameters', 0) / 1e6:.0f} M parameters, {about.get('side_pixels')} pixels, "
               f"batch {about.get('batch')}, {about.get('weights', 'random')} weights")  # fmt: skip
    for run in ("run", "first_run", "second_run"):
        if run in results:
            yield f"{name}'s {run.replace('_', ' ')}", "", results[run]
    yield from step_row(name, setting, results)
    if "checkpoint_gb" in results:
        yield (f"{name}'s checkpoint", "to disk or memory",
               f"{results['checkpoint_gb']:.2f} GB in {results['save_s']:.1f} s")  # fmt: skip
    if "resume" in results:
        resume = results["resume"]
        yield (f"{name} killed and resumed", f"went on at step {resume['resumed_at_step']}",
               f"losses of steps made twice at most {resume.get('largest_loss_difference')} apart")  # fmt: skip
        yield from step_row(f"{name} resumed", setting, results["resumed"])


def parity_row(what: str, row: dict[str, Any]) -> Row:
    """Agreement with FP32 in ONNX Runtime."""
    return (f"{what} {row['precision']} against ONNX Runtime", f"{row['pictures']} pictures",
            f"score mean {row['score_mean_points']:.4f}, largest {row['score_largest_points']:.4f} points, "
            f"SRCC {row['score_srcc']:.5f}")  # fmt: skip


def real_rows(results: dict[str, Any]) -> Iterator[Row]:
    """Engines of a real TensorRT: built, compared, timed, under load."""
    for row in results.get("builds", []):
        shares = ", ".join(f"{share:.1%} {kind}" for kind, share in row["convolution_shares"].items())
        yield (f"engine {row['precision']} built", f"{results['flavour']} {results['tensorrt']}",
               f"{row['seconds']:.0f} s for {', '.join(row['compute_capabilities'])}, {row['megabytes']:.1f} MB, "
               f"convolutions {shares}")  # fmt: skip
    for row in results.get("failures", []):
        yield f"engine {row['precision']}", "error", f"FAILED: {row['reason']}"
    yield from (parity_row("engine", row) for row in results.get("parity", []))
    for row in results.get("latency", []):
        yield (f"engine {row['precision']}, one caller", row["frames"],
               f"p50 {row['p50_ms']:.3f} ms, p99 {row['p99_ms']:.3f} ms")  # fmt: skip
    for row in results.get("cameras", []):
        yield (f"engine {row['precision']}, {row['cameras']} cameras",
               f"{row['fps']} frames/s each" if row["fps"] else "as fast as they can",
               f"{row['frames_per_s']:.0f} frames/s, {row['dropped']} dropped, p50 {row['p50_ms']:.1f} ms, "
               f"p99 {row['p99_ms']:.1f} ms")  # fmt: skip
    if rows := results.get("hours"):
        first, last = rows[0], rows[-1]
        yield (f"engine {last['precision']}, {last['cameras']} cameras", f"{sum(row['seconds'] for row in rows):.0f} s",
               f"{sum(row['frames'] for row in rows)} frames, {sum(row['dropped'] for row in rows)} dropped, p99 of a "
               f"minute at most {max(row['p99_ms'] for row in rows):.1f} ms, {first['resident_mb']:.0f} MB resident "
               f"at first, {last['resident_mb']:.0f} MB at last")  # fmt: skip


def rows_of(name: str, part: dict[str, Any]) -> list[Row]:
    """A part's lines of the table."""
    rows: list[Row] = [(f"part {name}", f"{part['seconds']} s", part["ended"])]
    results = part.get("found")
    if name in SANITIZERS:
        rows.append((name, "small frames", part["summary"] or "no summary"))
    elif name == "model" and results:
        rows += model_rows(results)
    elif name in TEACHERS and results:
        rows += teacher_rows(TEACHERS[name], results)
    elif name == "real" and results:
        rows += real_rows(results)
    elif isinstance(results, list):
        rows += [row for row in map(preprocess_row, results) if row]
    if "last_words" in part:
        rows.append((name, "last words", (part["last_words"].splitlines() or [""])[-1][:200]))
    return rows


def show(rows: list[Row]) -> str:
    """Rows as aligned text."""
    widths = [max((len(row[n]) for row in rows), default=0) for n in range(2)]
    return "\n".join(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)


def main() -> int:
    """Write the JSON, print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    whole = gather(options.work)
    options.out.write_text(json.dumps(whole, indent=1) + "\n")
    parts = whole["parts"]
    if options.part:
        print(show(rows_of(options.part, parts[options.part])), flush=True)
        return 0
    lines = [f"{name}: {value}" for name, value in whole["machine"].items()]
    lines.append(show([row for name, part in parts.items() for row in rows_of(name, part)]))
    lines += [f"left out: {what}" for what in whole["left_out"]]
    lines.append("failed: " + (", ".join(whole["failed"]) or "nothing"))
    text = "\n".join(lines)
    if options.table:
        options.table.write_text(text + "\n")
    print(text)
    return bool(whole["failed"])


if __name__ == "__main__":
    sys.exit(main())
