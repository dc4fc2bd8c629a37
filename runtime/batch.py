"""What `dpiqa score` does: score every file in turn, report those that cannot be scored, go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.output import Output
from dpiqa.runtime.pooling import Pool
from dpiqa.runtime.progress import ProgressBar
from dpiqa.runtime.reading import Reading
from dpiqa.runtime.scorer import Explanation, Scorer
from dpiqa.runtime.sources import PassedOver, expand, is_video
from dpiqa.runtime.video import announced_duration_s


class Batch:
    """Scores files one after the other, with one frame in memory at a time.

    `complain` gets one line for each name or file that cannot be scored, and one for each folder that says what was
    passed over there. After `run`, `scored` and `failed` count them;
    with `keep`, `videos` and `pictures` (name to reading) hold what a plot needs. `written` names files about to be
    replaced: the whole batch is refused if one of them is to be scored. `explain`, where it is set, gets every picture,
    and of every video the frame that scored lowest.
    """

    def __init__(
        self,
        scorer: Scorer,
        fps: float | None,
        complain: Callable[[str], None],
        keep: bool = False,
        written: Collection[Path] = (),
    ) -> None:
        self._scorer, self._fps, self._complain, self._keep = scorer, fps, complain, keep
        self._written = {path.resolve() for path in written}
        self.explain: Callable[[Explanation], None] = lambda _: None
        self.scored = self.failed = 0
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
        for done, file in enumerate(files):
            bar.update(done, file)
            try:
                if is_video(file):
                    self._video(file, output, bar, done)
                else:
                    self._picture(file, output)
            except InputError as error:
                bar.clear()
                self._refuse(error)
            else:
                self.scored += 1
        bar.clear()
        for line in left:
            self._complain(line)

    def _picture(self, file: str, output: Output) -> None:
        explanation = self._scorer.explain(file)
        output.reading(explanation.reading)
        self.explain(explanation)
        if self._keep:
            self.pictures[file] = explanation.reading

    def _video(self, file: str, output: Output, bar: ProgressBar, done: int) -> None:
        pool, duration_s = Pool(file), announced_duration_s(file)
        worst: Explanation | None = None
        for explanation in self._scorer.explain_stream(file, self._fps):
            reading = explanation.reading
            worst = explanation if worst is None or reading.score < worst.reading.score else worst
            output.reading(reading)
            pool.add(reading)
            share = (reading.pts_s or 0.0) / duration_s if duration_s else 0.0
            bar.update(done + min(share, 1.0), file)
        output.video(pool)
        if worst is not None:
            self.explain(worst)
        if self._keep:
            self.videos.append(pool)

    def _refuse(self, error: InputError) -> None:
        self.failed += 1
        self._complain(str(error))
