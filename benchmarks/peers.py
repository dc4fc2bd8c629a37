"""Time and peak memory of what can be installed from a registry, for a 1080p frame in memory, one thread.

    pip install --target PEERS --no-deps pyiqa piq opencv-contrib-python einops facexlib
    PYTHONPATH=PEERS python benchmarks/peers.py [--rounds 5] [--uvq FOLDER] [--dover FOLDER] [--csv FILE]

Each runs in a process of its own; rounds are interleaved, so that ratios hold on a busy machine as well. What pyiqa,
UVQ, DOVER and piq learned is not fetched but random: their time is right, their scores are not used. OpenCV's BRISQUE
is timed without its small regression, whose files the package lacks. FFmpeg's filters are timed as the CPU time that
they add to reading raw frames. UVQ 1.5 and DOVER-Mobile are timed where a folder with their code is given: UVQ by the
frame, DOVER by the score of a video, three clips of 32 fragments and one of 32 whole frames, without its sampling.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, NamedTuple

import cv2
import numpy as np
import typer
from measured_on import measured_on
from rich.console import Console
from rich.table import Table

from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL, shipped_model
from dpiqa.runtime.program import run
from dpiqa.runtime.video import read_video

if TYPE_CHECKING:
    import torch

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clip.mp4"
_HEIGHT, _WIDTH, _FILTERED = 1080, 1920, 30
_CLASSICAL = "no learning: agrees less with people; no causes, no map"
_LEARNED = "accuracy: see its paper; no causes, no map"
Score = Callable[[np.ndarray], object]


class Peer(NamedTuple):
    """How to open a metric, and what it lacks."""

    open: Callable[[], Score]
    lacks: str


def _dpiqa(model: str) -> Score:
    from dpiqa import Scorer

    return Scorer(model, threads=1).score


def _as_users_write_it() -> Score:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shipped_model(), options, providers=["CPUExecutionProvider"])

    def score(bgr: np.ndarray) -> object:
        row = cv2.cvtColor(cv2.resize(bgr, (384, 384), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        return session.run(["score"], {"frames": row[None]})

    return score


def _on_rgb(network: Callable[[torch.Tensor], object], scale: float = 1 / 255) -> Score:
    """A score of a BGR frame by a PyTorch network that takes 1x3xHxW, on one thread without gradients."""
    import torch

    torch.set_num_threads(1)

    def score(bgr: np.ndarray) -> object:
        rgb = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)[None].float() * scale
        with torch.inference_mode():
            return network(rgb)

    return score


def _pyiqa(module: str, name: str, **options: object) -> Score:
    import timm
    from torchvision.models import WeightsEnum, get_model

    arch = import_module(f"pyiqa.archs.{module}_arch")
    # Random weights instead of those that would be fetched.
    create = timm.create_model
    timm.create_model = lambda *names, **given: create(*names, **{**given, "pretrained": False})

    def random_state(weights: WeightsEnum, **_: object) -> object:
        return get_model(type(weights).__name__.removesuffix("_Weights").lower()).state_dict()

    WeightsEnum.get_state_dict = random_state  # type: ignore[assignment]
    arch.load_pretrained_network = lambda *_, **__: None  # type: ignore[attr-defined]
    return _on_rgb(getattr(arch, name)(**options).eval())


def _uvq(folder: Path) -> Score:
    sys.path.insert(0, str(folder))
    network = import_module("uvq1p5_pytorch.utils.uvq1p5").UVQ1p5(pretrained=False).uvq1p5_core
    return _on_rgb(lambda rgb: network(rgb[:, None]), scale=2 / 255)


def _dover(folder: Path) -> Score:
    import torch
    import yaml

    sys.path.insert(0, str(folder / "dover"))  # its package's root also asks for a video reader
    settings = yaml.safe_load((folder / "dover-mobile.yml").read_text())["model"]["args"]
    network = import_module("models").DOVER(**settings).eval()
    torch.set_num_threads(1)
    views = {"technical": torch.rand(3, 3, 32, 224, 224), "aesthetic": torch.rand(1, 3, 32, 224, 224)}

    def score(_: np.ndarray) -> object:
        with torch.inference_mode():
            return network(views)

    return score


def _piq_brisque() -> Score:
    import torch

    brisque = import_module("piq.brisque")
    brisque.load_url = lambda *_, **__: (torch.rand(774), torch.rand(774, 36))  # type: ignore[attr-defined]
    return _on_rgb(brisque.brisque)


def _opencv_brisque() -> Score:
    return cv2.quality.QualityBRISQUE.computeFeatures  # type: ignore[attr-defined]


PEERS = {
    DEFAULT_MODEL: Peer(partial(_dpiqa, DEFAULT_MODEL), ""),
    INT8_MODEL: Peer(partial(_dpiqa, INT8_MODEL), ""),
    "the same network, OpenCV + ONNX Runtime": Peer(_as_users_write_it, "NV12, video, void frames, map"),
    "pyiqa CNNIQA": Peer(partial(_pyiqa, "cnniqa", "CNNIQA", pretrained=None), _LEARNED),
    "pyiqa PaQ-2-PiQ": Peer(partial(_pyiqa, "paq2piq", "PAQ2PIQ", pretrained=False), _LEARNED),
    "pyiqa NIMA (VGG16)": Peer(partial(_pyiqa, "nima", "NIMA", pretrained=False), _LEARNED),
    "pyiqa DBCNN": Peer(partial(_pyiqa, "dbcnn", "DBCNN", pretrained=False), _LEARNED),
    "pyiqa HyperIQA": Peer(partial(_pyiqa, "hypernet", "HyperNet", pretrained=False), _LEARNED),
    "pyiqa MUSIQ": Peer(partial(_pyiqa, "musiq", "MUSIQ", pretrained=False), _LEARNED),
    "pyiqa TOPIQ": Peer(partial(_pyiqa, "topiq", "CFANet", use_ref=False, pretrained=False), _LEARNED),
    "piq BRISQUE": Peer(_piq_brisque, _CLASSICAL),
    "OpenCV BRISQUE, features": Peer(_opencv_brisque, _CLASSICAL),
}
FILTERS = ("blurdetect", "blockdetect")


def serve(peer: Peer, connection: Connection) -> None:
    """Open a peer, then time a frame whenever asked for one: milliseconds and peak resident megabytes."""
    cv2.setNumThreads(1)
    try:
        score = peer.open()
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


def measure(all_peers: dict[str, Peer], rounds: int) -> list[tuple[str, float, float, str]]:
    """Each peer: its name, milliseconds (infinite where it does not run), peak megabytes, what it lacks."""
    context = get_context("spawn")
    rows: list[tuple[str, float, float, str]] = []
    peers: dict[str, Connection] = {}
    times: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for name, peer in all_peers.items():
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(peer, theirs), daemon=True).start()
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
        plain = ["-frames:v", str(_FILTERED), "-pix_fmt", "yuv420p", "-f", "rawvideo", str(raw)]
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(CLIP), *plain], check=True)
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
        lacks = all_peers[name].lacks if name in all_peers else f"one symptom each; {_CLASSICAL}"
        rows.append((name, median(spent), peaks.get(name, 0.0), lacks))
    return sorted(rows, key=lambda row: row[1])


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
    uvq: Annotated[Path | None, typer.Option(help="Folder with UVQ's code.")] = None,
    dover: Annotated[Path | None, typer.Option(help="Folder with DOVER's code.")] = None,
    out: Annotated[Path | None, typer.Option("--csv", help="Path of a CSV for the table.")] = None,
) -> None:
    """Print time, time over that of the shipped INT8 model, and peak memory."""
    given: dict[str, Peer] = {}
    if uvq:
        given["UVQ 1.5, a frame"] = Peer(partial(_uvq, uvq), "accuracy: see its paper; no map")
    if dover:
        given["DOVER-Mobile, a video"] = Peer(partial(_dover, dover), "one score a video; no causes, no map")
    rows = measure(PEERS | given, rounds)
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
