"""Several pictures at once: the same scores in the same order as one after the other."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made import Ended, photo

from dpiqa import Scorer
from dpiqa.errors import InputError
from dpiqa.runtime.in_order import in_order

Write = Callable[..., Path]
Command = Callable[..., Ended]


def test_results_come_in_order_and_so_many_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05 if number % 3 == 0 else 0.001)
        with lock:
            running -= 1
        return number

    results = [future.result() for future in in_order((partial(work, number) for number in range(20)), 3)]
    assert results == list(range(20))
    assert most == 3


@pytest.mark.parametrize(("jobs", "ahead"), [(1, 0), (4, 4)])
def test_no_more_is_read_than_a_few_tasks_ahead(jobs: int, ahead: int) -> None:
    begun = 0

    def tasks() -> Iterator[Callable[[], None]]:
        nonlocal begun
        for _ in range(50):
            begun += 1
            yield lambda: None

    for done, _ in enumerate(in_order(tasks(), jobs), 1):
        assert begun <= done + ahead
    assert begun == 50


def test_an_error_comes_at_its_place() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        yield lambda: 1 // 0
        yield lambda: 2
        raise InputError("no more")

    first, second, third, last = in_order(tasks(), 2)
    assert (first.result(), third.result()) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        second.result()
    with pytest.raises(InputError, match="no more"):
        last.result()


def test_scores_do_not_depend_on_the_number_of_jobs(
    model_path: Path, write_picture: Write, write_video: Write, tmp_path: Path
) -> None:
    pictures = [write_picture(f"{seed}.png", photo(80 + 7 * seed, 90, seed)) for seed in range(6)]
    video = write_video([photo(96, 128, seed) for seed in range(7)])
    items = [*pictures[:4], photo(), video, *pictures[4:]]
    one, several = (list(Scorer(model_path, threads=jobs, jobs=jobs).score_many(items, fps=1000)) for jobs in (1, 4))
    assert [(reading.source, reading.index, reading.pts_s) for reading in several] == [
        (reading.source, reading.index, reading.pts_s) for reading in one
    ]
    assert [reading.score for reading in several] == pytest.approx([reading.score for reading in one], abs=1e-4)
    assert len({reading.score for reading in one}) > 10
    readings = Scorer(model_path, jobs=4).score_many([pictures[0], tmp_path / "none.png", pictures[1]])
    assert next(readings).source == str(pictures[0])
    with pytest.raises(InputError, match=r"none\.png: no such file"):
        next(readings)


def test_command_reports_a_folder_in_order_and_what_is_damaged(
    dpiqa: Command, model_path: Path, write_picture: Write, tmp_path: Path
) -> None:
    for seed in range(8):
        write_picture(f"many/{seed}.png", photo(70 + 9 * seed, 90, seed))
    (tmp_path / "many" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines = []
    for jobs in ("1", "4"):
        ended = dpiqa("score", "--model", model_path, "--jobs", jobs, "--format", "json", tmp_path / "many")
        assert ended.status == 1
        assert ended.err.count("\n") == 1
        assert "3.png" in ended.err
        lines.append([json.loads(line) for line in ended.out.splitlines()])
    assert [Path(line["source"]).stem for line in lines[1]] == list("0124567")
    assert [line["score"] for line in lines[1]] == pytest.approx([line["score"] for line in lines[0]], abs=0.002)


def test_a_scorer_pickles_as_its_arguments(model_path: Path) -> None:
    scorer = Scorer(model_path, threads=1, max_megapixels=0.5, jobs=2)
    copy = pickle.loads(pickle.dumps(scorer))
    assert (copy.max_megapixels, copy.jobs, copy.engine.requests) == (0.5, 2, scorer.engine.requests)
    assert copy.score(photo()).score == scorer.score(photo()).score
    assert copy.engine is not scorer.engine


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_below_one_are_refused(model_path: Path, jobs: int) -> None:
    with pytest.raises(InputError, match="jobs must be at least 1"):
        Scorer(model_path, jobs=jobs)


def test_planes_of_a_video_are_converted_in_other_threads(model_path: Path, write_video: Write) -> None:
    frames = [photo(96, 128, seed) for seed in range(12)]
    clip = write_video(frames)
    explanations = list(Scorer(model_path, jobs=3).explain_stream(clip))
    for explanation, frame in zip(explanations, frames, strict=True):
        assert np.abs(explanation.pixels.astype(int) - frame).mean() < 3
