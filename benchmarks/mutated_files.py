"""Read mutated pictures and videos, and count what the readers do with them.

    python benchmarks/mutated_files.py [--pictures 2000] [--videos 200] [--seed 0]

Whole files of every kind are made, then truncated, bit-flipped, spliced or given extreme numbers, by their own seed.
Every one is read in a worker process. Right are pixels, or one line that says why not; wrong are a crash, a traceback,
more than one line, more than 10 s, and a peak above 1.5 GB. Prints a table and a line for each wrong one, exit status 1
if there is any.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Annotated, NamedTuple

import av
import cv2
import numpy as np
import pandas as pd
import typer
from PIL import Image

from dpiqa.runtime.program import run

_LONGEST_S, _MOST_MB = 10.0, 1500.0
_EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\0\x01\0\0")
_VIDEOS = (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mjpeg"), ("ts", "mpeg2video"), ("mkv", "ffv1"))


class Mutant(NamedTuple):
    """A file to read: what it was, whether it is a video, its seed and its bytes."""

    kind: str
    is_video: bool
    seed: int
    data: bytes


class Outcome(NamedTuple):
    """What became of it: `read`, `refused`, or what is wrong; the line, the seconds, the peak in MB."""

    verdict: str
    line: str
    seconds: float
    peak_mb: float


def main(
    pictures: Annotated[int, typer.Option(min=0, help="Mutated pictures.")] = 2000,
    videos: Annotated[int, typer.Option(min=0, help="Mutated videos.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
) -> None:
    """Read mutated files in a worker process."""
    rows: dict[str, Counter[str]] = {}
    slowest, peak, wrong = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        for mutant in mutants(pictures, videos, seed):
            outcome = reader.read(mutant)
            rows.setdefault(mutant.kind, Counter())[outcome.verdict] += 1
            slowest, peak = max(slowest, outcome.seconds), max(peak, outcome.peak_mb)
            if outcome.verdict not in ("read", "refused"):
                wrong += 1
                typer.echo(f"{outcome.verdict}: {mutant.kind}, seed {mutant.seed}: {outcome.line}")
        reader.close()
    typer.echo(pd.DataFrame(rows).T.fillna(0).astype(int).to_string())
    typer.echo(f"{pictures + videos} files, {wrong} wrong, slowest {slowest:.2f} s, peak {peak:.0f} MB")
    if wrong:
        raise typer.Exit(1)


def mutants(pictures: int, videos: int, seed: int) -> Iterator[Mutant]:
    """Mutated files, those of each kind in turn, the same for the same seed."""
    for count, is_video, make in ((pictures, False, whole_pictures), (videos, True, whole_videos)):
        whole = make() if count else {}
        kinds = list(whole)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            rng = random.Random(f"{seed + number} {kind}")
            yield Mutant(kind, is_video, seed + number, mutated(whole[kind], rng, list(whole.values())))


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to three changes: a cut, flipped bits, an extreme number, a part moved, left out or of another file."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        size = len(changed)
        if size < 16:
            break
        place = rng.randrange(min(size, 400) if rng.random() < 0.5 else size)
        kind = rng.randrange(6)
        if kind == 0:
            del changed[rng.randrange(1, size) :]
        elif kind == 1:
            for _ in range(rng.choice((1, 3, 20, 200))):
                changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[place : place + 4] = rng.choice(_EXTREMES)
        elif kind == 3:
            start = rng.randrange(size)
            changed[place:place] = changed[start : start + rng.randint(1, 2000)]
        elif kind == 4:
            del changed[place : place + rng.randint(1, 500)]
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            changed[place : place + 1000] = other[start : start + rng.randint(1, 1000)]
    return bytes(changed)


def whole_pictures() -> dict[str, bytes]:
    """A picture of every kind that is read, by its name."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(128, 50, (6, 8, 3))
    bgr = np.clip(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))
    more = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    whole: dict[str, bytes] = {}

    def save(name: str, form: str, image: Image.Image = picture, **options: object) -> None:
        file = io.BytesIO()
        image.save(file, form, **options)
        whole[name] = file.getvalue()

    turned = Image.Exif()
    turned[0x0112] = 6
    save("jpeg", "JPEG", exif=turned)
    save("jpeg progressive", "JPEG", progressive=True)
    save("jpeg cmyk", "JPEG", picture.convert("CMYK"))
    save("mpo", "MPO", save_all=True, append_images=more)
    save("png", "PNG")
    save("png palette", "PNG", picture.convert("P"))
    save("apng", "PNG", save_all=True, append_images=more, default_image=True)
    save("gif", "GIF", save_all=True, append_images=more)
    save("bmp", "BMP")
    save("webp", "WEBP")
    save("webp animated", "WEBP", save_all=True, append_images=more, lossless=True)
    save("tiff", "TIFF")
    save("tiff lzw", "TIFF", compression="tiff_lzw", exif=turned)
    save("jp2", "JPEG2000")
    save("j2k", "JPEG2000", no_jp2=True)
    with suppress(OSError, KeyError):
        save("avif", "AVIF")
    with suppress(ImportError):
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(picture).save(file)
        whole["heic"] = file.getvalue()
    for suffix in ("ppm", "pgm", "pbm", "pam", "pfm", "hdr", "ras"):
        pixels = (bgr / 255).astype(np.float32) if suffix in ("pfm", "hdr") else bgr
        pixels = bgr[..., 0] if suffix in ("pgm", "pbm") else pixels
        whole[suffix] = cv2.imencode(f".{suffix}", pixels)[1].tobytes()
    whole["png 16 bits"] = cv2.imencode(".png", bgr.astype(np.uint16) * 257)[1].tobytes()
    return whole


def whole_videos() -> dict[str, bytes]:
    """A second of small video in several containers, by its name."""
    rng = np.random.default_rng(1)
    whole = {}
    for suffix, codec in _VIDEOS:
        file = io.BytesIO()
        form = {"ts": "mpegts", "mkv": "matroska"}.get(suffix, suffix)
        with av.open(file, "w", format=form) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = 160, 120
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for _ in range(10):
                rgb = np.asarray(cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120)), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
            container.mux(stream.encode())
        whole[f"{suffix} {codec}"] = file.getvalue()
    return whole


class Reader:
    """A worker process that reads one file after the other, begun anew after a crash or a hang."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worker = self._begun()

    def read(self, mutant: Mutant) -> Outcome:
        """Read a file in the worker."""
        path = self._folder / ("mutant.bin" if not mutant.is_video else "mutant.mkv")
        path.write_bytes(mutant.data)
        began = monotonic()
        kill = threading.Timer(_LONGEST_S, self._worker.kill)
        kill.start()
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        with suppress(BrokenPipeError):
            self._worker.stdin.write(f"{int(mutant.is_video)} {path}\n")
            self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        kill.cancel()
        seconds = monotonic() - began
        if not line:
            status = self._worker.wait()
            self._worker = self._begun()
            verdict = "hangs" if seconds >= _LONGEST_S else "crashes"
            return Outcome(verdict, f"exit status {status}", seconds, 0.0)
        verdict, peak_mb, message = line.rstrip("\n").split("\t", 2)
        if float(peak_mb) > _MOST_MB:
            verdict, message = "memory", f"{peak_mb} MB, {message}"
        return Outcome(verdict, message, seconds, float(peak_mb))

    def close(self) -> None:
        """End the worker."""
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait()

    def _begun(self) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, "--worker"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )


def _work() -> None:
    from dpiqa.errors import InputError
    from dpiqa.runtime.pictures import read_picture
    from dpiqa.runtime.video import read_video

    for order in sys.stdin:
        is_video, path = order.rstrip("\n").split(" ", 1)
        _forget_peak()
        try:
            count = sum(1 for _ in read_video(path)) if is_video == "1" else read_picture(path).size
            message = f"{count} frames or samples"
            verdict = "read"
        except InputError as error:
            message = str(error)
            verdict = "many lines" if "\n" in message else "refused"
        except BaseException as error:
            verdict, message = "traceback", f"{type(error).__name__}: {error}"
        print(verdict, f"{_peak_mb():.0f}", message.replace("\n", " "), sep="\t", flush=True)


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    if "--worker" in sys.argv:
        _work()
    else:
        run(main)
