"""What `dpiqa score` does: score every file in turn, report those that cannot be scored, go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from pathlib import Path

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.in_order import in_order
from dpiqa.runtime.machine import cores
from dpiqa.runtime.output import Output
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.progress import ProgressBar
from dpiqa.runtime.reading import Reading
from dpiqa.runtime.scorer import Explanation, Scorer
from dpiqa.runtime.sources import PassedOver, expand, is_video
from dpiqa.runtime.tally import Tally
from dpiqa.runtime.video import RawVideo, announced_duration_s


class Batch:
    """Scores files in order: pictures in a row in `scorer.jobs` threads, a video by itself, its frames likewise.

    `complain` gets one line for each name or file that cannot be scored, and one for each folder that says what was
    passed over there. After `run`, `scored` and `failed` count them;
    with `keep`, `videos` and `pictures` (name to reading) hold what a plot needs. `written` names files about to be
    replaced: the whole batch is refused if one of them is to be scored. Each of `listeners` gets every picture, and of
    every video the frame that scored lowest, with the score of the file. `below` counts the files that score less than
    `minimum`; `complain` gets their names. A video's score is the mean of its frames. `raw`: what standard input holds,
    where it is no container.
    """

    def __init__(
        self,
        scorer: Scorer,
        fps: float | None,
        complain: Callable[[str], None],
        keep: bool = False,
        written: Collection[Path] = (),
        minimum: float | None = None,
        raw: RawVideo | None = None,
    ) -> None:
        self._scorer, self._fps, self._complain, self._keep = scorer, fps, complain, keep
        self._written = {path.resolve() for path in written}
        self._minimum, self._raw = minimum, raw
        self.listeners: list[Callable[[Explanation, float], None]] = []
        self.scored = self.failed = self.below = self._done = 0
        self._tally = Tally()
        self.videos: list[Pool] = []
        self.pictures: dict[str, Reading] = {}

    def run(self, names: Sequence[str], output: Output, bar: ProgressBar) -> None:
        """Score what the names stand for (see sources.expand) and write it to `output`.

        Raises DpiqaError if that would replace one of the files to score.
        """
        files: list[str] = []
        left: list[str] = []
        for name in names:
            passed_over = PassedOver()
            try:
                files.extend(expand(name, passed_over))
            except InputError as error:
                self._refuse(error)
            for error in passed_over.unreadable:
                self._refuse(error)
            if passed_over.suffixes:
                left.append(f"{name}: {passed_over}")
        for file in files if self._written else ():
            if Path(file).resolve() in self._written:
                raise DpiqaError(f"{file}: is to be scored and written to, choose another name for --out or --plot")
        bar.total = len(files)
        for are_videos, group in groupby(files, _is_video):
            if are_videos:
                for file in group:
                    self._attempt(partial(self._video, file, output, bar), file, bar)
            else:
                for file, future in self._explained(group):
                    self._attempt(partial(self._picture, file, future, output), file, bar)
        bar.clear()
        output.end(self._tally)
        for line in left:
            self._complain(line)

    def _attempt(self, write: Callable[[], None], file: str, bar: ProgressBar) -> None:
        bar.update(self._done, file)
        try:
            write()
        except InputError as error:
            bar.clear()
            self._refuse(error)
        else:
            self.scored += 1
        self._done += 1

    def _explained(self, pictures: Iterator[str]) -> Iterator[tuple[str, Future[Explanation]]]:
        begun: deque[str] = deque()

        def tasks() -> Iterator[Callable[[], Explanation]]:
            for file in pictures:
                begun.append(file)
                yield partial(self._scorer.explain, file)

        for future in in_order(tasks(), self._scorer.jobs):
            yield begun.popleft(), future

    def _picture(self, file: str, future: Future[Explanation], output: Output) -> None:
        explanation = future.result()
        output.reading(explanation.reading)
        self._tally.add(explanation.reading)
        self._finish(explanation, explanation.reading.score)
        if self._keep:
            self.pictures[file] = explanation.reading

    def _video(self, file: str, output: Output, bar: ProgressBar) -> None:
        pool, duration_s = Pool(file), announced_duration_s(file)
        worst: Explanation | None = None
        for explanation in self._scorer.explain_stream(file, self._fps, self._raw):
            reading = explanation.reading
            worst = explanation if worst is None or reading.score < worst.reading.score else worst
            output.reading(reading)
            pool.add(reading)
            share = (reading.pts_s or 0.0) / duration_s if duration_s else 0.0
            bar.update(self._done + min(share, 1.0), file)
        output.video(pool)
        if worst is not None:
            self._finish(worst, pool.summary().mean)
        if self._keep:
            self.videos.append(pool)

    def _finish(self, explanation: Explanation, score: float) -> None:
        for listener in self.listeners:
            listener(explanation, score)
        if self._minimum is not None and score < self._minimum:
            self.below += 1
            self._complain(f"{explanation.reading.source}: {score:.1f}, below {self._minimum:g}")

    def _refuse(self, error: InputError) -> None:
        self.failed += 1
        self._complain(str(error))


def _is_video(file: str) -> bool:
    try:
        return is_video(file)
    except InputError:
        return False  # scoring it says what is wrong


def jobs_for(names: Sequence[str]) -> int:
    """How many pictures or frames to work on at once: one for a single picture, which then gets all threads."""
    return 1 if len(names) == 1 and Path(names[0]).is_file() and not _is_video(names[0]) else cores()
