"""Time and peak memory of what can be installed from a registry, for a 1080p frame in memory, one thread.

    pip install --target PEERS --no-deps pyiqa piq opencv-contrib-python einops facexlib
    PYTHONPATH=PEERS python benchmarks/peers.py [--rounds 5] [--csv FILE]

Each runs in a process of its own; rounds are interleaved, so that ratios hold on a busy machine as well. The networks
of pyiqa have random weights (theirs lie where a registry does not reach): their time is right, their scores are not
used. OpenCV's BRISQUE is timed without its small regression, whose files the package lacks. FFmpeg's filters are timed
as the CPU time that they add to reading raw frames. Not here for want of their code: UVQ and DOVER.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import typer
from measured_on import measured_on
from rich.console import Console
from rich.table import Table

from dpiqa.runtime.models import INT8_MODEL, shipped_model
from dpiqa.runtime.program import run
from dpiqa.runtime.video import read_video

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clip.mp4"
_HEIGHT, _WIDTH, _FILTERED = 1080, 1920, 30
_CLASSICAL = "no learning: agrees less with people; no causes, no map"
_LEARNED = "accuracy: see its paper; no causes, no map"
Score = Callable[[np.ndarray], object]


class Peer(NamedTuple):
    """How to open a metric, and what it lacks."""

    open: Callable[[], Score]
    lacks: str


def _dpiqa(model: str) -> Callable[[], Score]:
    def open_model() -> Score:
        from dpiqa import Scorer

        return Scorer(model, threads=1).score

    return open_model


def _as_users_write_it() -> Score:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shipped_model(), options, providers=["CPUExecutionProvider"])

    def score(bgr: np.ndarray) -> object:
        row = cv2.cvtColor(cv2.resize(bgr, (384, 384), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        return session.run(["score"], {"frames": row[None]})

    return score


def _pyiqa(module: str, name: str, **options: object) -> Callable[[], Score]:
    def open_network() -> Score:
        from importlib import import_module

        import torch

        torch.hub.load_state_dict_from_url = lambda *_, **__: {}  # random weights instead
        torch.nn.Module.load_state_dict = lambda *_, **__: None
        import timm

        create = timm.create_model
        timm.create_model = lambda *names, **given: create(*names, **{**given, "pretrained": False})
        torch.set_num_threads(1)
        network = getattr(import_module(f"pyiqa.archs.{module}_arch"), name)(**options).eval()

        def score(bgr: np.ndarray) -> object:
            rgb = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)[None].float() / 255
            with torch.inference_mode():
                return network(rgb)

        return score

    return open_network


def _piq_brisque() -> Score:
    import torch

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError("its weights are not in the package")

    torch.hub.load_state_dict_from_url = refuse
    import piq

    torch.set_num_threads(1)
    return lambda bgr: piq.brisque(torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255)


def _opencv_brisque() -> Score:
    return cv2.quality.QualityBRISQUE.computeFeatures  # type: ignore[attr-defined]


PEERS = {
    "dpiqa-lite0": Peer(_dpiqa("dpiqa-lite0"), ""),
    INT8_MODEL: Peer(_dpiqa(INT8_MODEL), ""),
    "the same network, OpenCV + ONNX Runtime": Peer(_as_users_write_it, "NV12, video, void frames, map"),
    "pyiqa CNNIQA": Peer(_pyiqa("cnniqa", "CNNIQA", pretrained=None), _LEARNED),
    "pyiqa PaQ-2-PiQ": Peer(_pyiqa("paq2piq", "PAQ2PIQ", pretrained=False), _LEARNED),
    "pyiqa NIMA (VGG16)": Peer(_pyiqa("nima", "NIMA", pretrained=False), _LEARNED),
    "pyiqa DBCNN": Peer(_pyiqa("dbcnn", "DBCNN", pretrained=False), _LEARNED),
    "pyiqa HyperIQA": Peer(_pyiqa("hypernet", "HyperNet", pretrained=False), _LEARNED),
    "pyiqa MUSIQ": Peer(_pyiqa("musiq", "MUSIQ", pretrained=False), _LEARNED),
    "pyiqa TOPIQ": Peer(_pyiqa("topiq", "CFANet", pretrained=False), _LEARNED),
    "piq BRISQUE": Peer(_piq_brisque, _CLASSICAL),
    "OpenCV BRISQUE, features": Peer(_opencv_brisque, _CLASSICAL),
}
FILTERS = ("blurdetect", "blockdetect")


def serve(name: str, connection: Connection) -> None:
    """Open a peer, then time a frame whenever asked for one: milliseconds and peak resident megabytes."""
    cv2.setNumThreads(1)
    try:
        score = PEERS[name].open()
        frame = next(read_video(str(CLIP))).pixels
        score(frame)
    except Exception as error:  # whatever a stranger's package raises is the answer
        lines = str(error).strip().splitlines()
        connection.send(f"not run: {type(error).__name__}: {lines[0][:100] if lines else ''}")
        return
    connection.send(None)
    while connection.recv():
        began = perf_counter()
        score(frame)
        spent_ms = (perf_counter() - began) * 1000
        connection.send((spent_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def filter_ms(name: str, file: Path) -> float:
    """CPU milliseconds a frame that reading raw frames takes with an FFmpeg filter, `null` for none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    form = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{_WIDTH}x{_HEIGHT}"]
    command = ["ffmpeg", "-v", "error", "-filter_threads", "1", *form, "-i", str(file), "-vf", name, "-f", "null", "-"]
    subprocess.run(command, check=True)
    return (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) * 1000 / _FILTERED


def measure(rounds: int) -> list[tuple[str, float, float, str]]:
    """Each peer: its name, milliseconds (infinite where it does not run), peak megabytes, what it lacks."""
    context = get_context("spawn")
    rows: list[tuple[str, float, float, str]] = []
    peers: dict[str, Connection] = {}
    times: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for name in PEERS:
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(name, theirs), daemon=True).start()
        theirs.close()
        peers[name] = ours
    for name, ours in list(peers.items()):
        try:
            refusal = ours.recv()
        except EOFError:
            refusal = "not run: its process ended"
        if refusal:
            rows.append((name, float("inf"), 0.0, refusal))
            del peers[name]
    with TemporaryDirectory() as folder:
        raw = Path(folder, "frames.yuv")
        raw.write_bytes(np.random.default_rng(0).bytes(_HEIGHT * _WIDTH * 3 // 2) * _FILTERED)
        for _ in range(rounds):
            for name, connection in peers.items():
                connection.send(True)
                spent_ms, peaks[name] = connection.recv()
                times.setdefault(name, []).append(spent_ms)
            reading_ms = filter_ms("null", raw)
            for name in FILTERS:
                times.setdefault(f"FFmpeg {name}", []).append(filter_ms(name, raw) - reading_ms)
    for connection in peers.values():
        connection.send(False)
    for name, spent in times.items():
        lacks = PEERS[name].lacks if name in PEERS else f"one symptom each; {_CLASSICAL}"
        rows.append((name, median(spent), peaks.get(name, 0.0), lacks))
    return sorted(rows, key=lambda row: row[1])


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Print time, time over that of the shipped INT8 model, and peak memory."""
    rows = measure(rounds)
    own = next(spent for name, spent, *_ in rows if name == INT8_MODEL)
    machine = measured_on("openvino", "onnxruntime", "torch")
    table = Table("metric", "ms", f"times {INT8_MODEL}", "peak MB", "lacks", title=f"1080p, one thread; {machine}")
    for name, spent, peak, lacks in rows:
        table.add_row(name, f"{spent:.1f}", f"{spent / own:.1f}", f"{peak:.0f}" if peak else "", lacks)
    Console(width=160, file=sys.stdout).print(table)
    if out:
        with out.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["metric", "ms", "times", "peak_mb", "lacks", "machine"])
            writer.writerows([n, f"{ms:.1f}", f"{ms / own:.2f}", f"{mb:.0f}", why, machine] for n, ms, mb, why in rows)


if __name__ == "__main__":
    run(main)
