"""Files from anywhere: every way in gives the same scores, and hostile files end in one line."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coded import (
    COUNT,
    ENGINES,
    X264,
    Command,
    Pictures,
    encode,
    scores,
    set_display_matrix,
    woven,
)

from dpiqa import Scorer


def _cases(folder: Path, moving: Pictures, panning: Pictures) -> dict[str, tuple[Path, float]]:
    """Files and how far their scores may be from those of `moving`."""
    turned = [np.ascontiguousarray(picture[::-1, ::-1]) for picture in moving[:COUNT]]
    rotated = encode(folder / "rotated.mp4", turned, "libx264", options=X264)
    set_display_matrix(rotated, 180, False)
    av1 = encode(folder / "av1.mp4", moving[:COUNT], "libsvtav1", options={"preset": "12", "crf": "10"})
    plain = encode(folder / "plain.mp4", moving[:COUNT], "libx264", options=X264)
    fields = encode(folder / "fields.mkv", woven(panning), pix_fmt="yuv422p", fields=True)
    return {"plain": (plain, 1), "rotated": (rotated, 2), "av1": (av1, 2), "fields": (fields, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_score_monitor_and_python_agree_in_any_order(
    dpiqa: Command, moving: Pictures, panning: Pictures, tmp_path: Path, engine: str
) -> None:
    files = [path for path, _ in _cases(tmp_path, moving, panning).values()]
    scorer = Scorer(engine=engine, threads=1)
    alone = {str(path): pytest.approx(scores(scorer, path), abs=0.01) for path in files}
    for order in (files, files[::-1]):
        ended = dpiqa("score", *order, "--engine", engine, "--threads", 1, "--format", "json")
        assert ended.status == 0
        assert _by_source(ended.out) == alone
    options = ["--engine", engine, "--model", "dpiqa-lite0", "--fps", 1000, "--sqlite", "none", "--jsonl", "-"]
    ended = dpiqa("monitor", *files, *options)
    assert ended.status == 0
    assert _by_source(ended.out) == alone


def _by_source(lines: str) -> dict[str, list[float]]:
    by_source: dict[str, list[float]] = {}
    for line in map(json.loads, lines.splitlines()):
        if line["type"] == "reading":
            by_source.setdefault(line["source"], []).append(line["score"])
    return by_source


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["score", "monitor"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_name_cannot_reach_the_terminal(
    dpiqa: Command, moving: Pictures, tmp_path: Path, verb: str, form: str
) -> None:
    whole = encode(tmp_path / "a\x1b]0;owned\x07\x9b31m\u202e.mkv", moving[:2])
    broken = tmp_path / "b\x1b[2J\r.mkv"
    broken.write_bytes(bytes(5000))
    if verb == "monitor":
        ended = dpiqa("monitor", whole, broken, "--sqlite", "none", "--jsonl", "-")
    else:
        ended = dpiqa("score", whole, broken, "--format", form)
    assert ended.status == 1
    harmful = set("\x1b\x07\r\x9b\u202e")
    if form == "table" or verb == "monitor":  # what score writes into a pipe keeps the name
        assert not harmful & set(ended.out)
    assert not harmful & set(ended.err)
    assert r"b\x1b[2J\r.mkv" in ended.err


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 3],
    "header only": lambda data: data[:200],
    "flipped": lambda data: bytes(byte ^ 0xFF if at % 97 == 0 else byte for at, byte in enumerate(data)),
    "zeros": lambda data: data[:1000] + bytes(50_000),
    "twice": lambda data: data[: len(data) // 2] + data,
    "text playlist": lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n#EXT-X-ENDLIST\n",
    "playlist with a tail": lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n\0\xff" + bytes(2000),
    "list with a tail": lambda _: b"ffconcat version 1.0\nfile clip.mkv\n\0\xff" + bytes(2000),
    "session": lambda _: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n\0" * 20,
    "endless boxes": lambda _: (
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 8, b"moov") * 50_000
    ),
    "huge box": lambda _: struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4sQ", 1, b"moov", 1 << 62),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("suffix", ["mkv", *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in ("mp4", "ts"))])
def test_hostile_files_end_soon_in_one_line(
    dpiqa: Command, moving: Pictures, tmp_path: Path, kind: str, suffix: str
) -> None:
    clip = encode(tmp_path / f"clip.{suffix}", moving[:COUNT], "libx264", options=X264)
    (tmp_path / "clip.mkv").write_bytes(clip.read_bytes())
    bad = tmp_path / f"bad.{suffix}"
    bad.write_bytes(HOSTILE[kind](clip.read_bytes()))
    begin = time.monotonic()
    ended = dpiqa("score", bad, "--engine", "onnxruntime", "--threads", 1, "--format", "json")
    assert time.monotonic() - begin < 10
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 1
    assert ended.status == (0 if '"reading"' in ended.out else 2)
    if "list" in kind or kind == "session":
        assert "not a video that can be decoded" in ended.err


@pytest.mark.slow
def test_a_name_like_a_protocol_is_a_file_for_the_monitor(
    dpiqa: Command, moving: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.mkv", "concat:a|b.mkv", "clip%03d.mkv"):
        encode(tmp_path / "clip.mkv", moving[:2]).rename(tmp_path / name)
        ended = dpiqa("monitor", name, "--sqlite", "none", "--jsonl", "-", "--fps", 1000)
        assert (ended.status, len(_by_source(ended.out)[name])) == (0, 2)
