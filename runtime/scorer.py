"""The way in from Python: open a model, hand it pictures or video, get readings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dpiqa.errors import DpiqaError, InputError
from dpiqa.runtime.bars import BarCrop
from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.engines.registry import open_engine
from dpiqa.runtime.in_order import in_order
from dpiqa.runtime.machine import cores
from dpiqa.runtime.models import shipped_model
from dpiqa.runtime.pictures import MAX_MEGAPIXELS, check_size, read_picture
from dpiqa.runtime.planes import Planes
from dpiqa.runtime.preprocess import within_reach
from dpiqa.runtime.reading import Reading, band
from dpiqa.runtime.sources import PassedOver, expand, is_video
from dpiqa.runtime.spec import ModelSpec
from dpiqa.runtime.video import Frame, RawVideo, read_video

if TYPE_CHECKING:
    from pandas import DataFrame

PathLike = str | os.PathLike[str]


class Explanation(NamedTuple):
    """A reading with what it is about: its picture, and where the quality is good or bad in it.

    `map` is float32 `[h, w]`, 0 to 100, of the model's own size for the picture's shape, None where the model draws
    none or there is nothing to see.
    """

    reading: Reading
    picture: Planes
    map: NDArray[np.float32] | None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture in BGR, uint8 `[h, w, 3]`."""
        return self.picture.bgr


class Scorer:
    """Scores pictures and video with one model file.

    `model` is a model file or the name of a shipped one (default: `dpiqa-lite0`), `engine` the name of an engine or
    `auto`, `threads` how many CPU threads it may use (default: its own choice); a picture file of more than
    `max_megapixels` million pixels is refused before it is decoded. `jobs` is how many pictures are worked on at once
    where there are several, each with its part of the threads (default: one a core is decoded, and all threads infer
    one after the other, which is the least time for one picture). With `crop_bars` black bars (runtime/bars.py) are cut
    off first. Raises EngineError or ContractError if the model
    cannot be used. After a fork the child opens its own: this one refuses there. Pickled, it is its arguments.
    """

    def __init__(
        self,
        model: PathLike | None = None,
        engine: str = "auto",
        threads: int | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        jobs: int | None = None,
        crop_bars: bool = False,
    ) -> None:
        if jobs is not None and jobs < 1:
            raise InputError(f"jobs must be at least 1, found {jobs}")
        self._arguments = (model, engine, threads, max_megapixels, jobs, crop_bars)
        self._crop_bars = crop_bars
        self.max_megapixels: float = max_megapixels
        self.jobs: int = jobs or cores()
        self.engine: Engine = open_engine(
            os.fspath(model) if model else str(shipped_model()), engine, threads, jobs or 1
        )

    @classmethod
    def from_pretrained(
        cls, repository: str, file: str | None = None, revision: str | None = None, **options: Any
    ) -> Scorer:
        """Open a model of Hugging Face's hub, by `owner/name`; `options` are those of Scorer.

        `file` is its name there (default: `name.onnx`), `revision` a branch, tag or commit. Raises as Scorer does, and
        EngineError where it cannot be fetched.
        """
        from dpiqa.runtime.hub import fetch_model

        return cls(fetch_model(repository, file, revision), **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the model anew where it is unpickled: engines are of one process."""
        return Scorer, self._arguments

    @property
    def spec(self) -> ModelSpec:
        """The contract of the model."""
        return self.engine.spec

    def score(self, picture: PathLike | np.ndarray, source: str | None = None) -> Reading:
        """Score one picture: a path, or an array uint8 `[h, w, 3]` in BGR or `[h, w]` in grey, sides of 32 or more.

        `source` is what the reading calls it (default: the path, or "array"). Raises InputError.
        """
        return self.explain(picture, source).reading

    def explain(self, picture: PathLike | np.ndarray, source: str | None = None) -> Explanation:
        """Score one picture as `score` does, and keep its pixels and its quality map. Raises InputError."""
        began = perf_counter()
        if isinstance(picture, np.ndarray):
            return self._explain(Frame(self._without_bars(Planes((_to_bgr(picture),))), source or "array"))
        path = os.fspath(picture)
        if is_video(path):
            raise InputError(f"{path}: not a picture; a video is scored with stream")
        pixels = read_picture(path, self.max_megapixels)
        return self._explain(Frame(self._without_bars(Planes((pixels,))), source or path), perf_counter() - began)

    def stream(self, path: PathLike, fps: float | None = None, raw: RawVideo | None = None) -> Iterator[Reading]:
        """Score a video lazily, `fps` frames per second of its time (None for every frame). Raises InputError.

        `-` is standard input: a container or, with `raw`, bare frames.
        """
        return (explanation.reading for explanation in self.explain_stream(path, fps, raw))

    def explain_stream(
        self, path: PathLike, fps: float | None = None, raw: RawVideo | None = None
    ) -> Iterator[Explanation]:
        """Score a video as `stream` does, with the pixels and the quality map of each frame. Raises InputError."""
        for future in in_order(self._frames(path, fps, raw), self.jobs):
            yield future.result()

    def score_many(self, items: Iterable[PathLike | np.ndarray], fps: float | None = None) -> Iterator[Reading]:
        """Score pictures, videos, folders, globs and arrays lazily, in order; InputError at the first bad one."""
        for future in in_order(self._tasks(items, fps), self.jobs):
            yield future.result().reading

    def folder(self, path: PathLike, fps: float | None = 1) -> DataFrame:
        """Score a folder, file or glob into a pandas DataFrame: one row for each picture and frame.

        Columns: source, index, pts_s, score, band, void, and 0 to 1 for each cause (none where the frame is void). What
        could not be scored is in `.attrs["errors"]`, a line each. Raises DpiqaError without pandas.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise DpiqaError("Scorer.folder needs pandas: pip install pandas") from None
        rows: list[dict[str, Any]] = []
        passed_over, errors = PassedOver(), list[str]()
        tasks = (partial(self._readings, file, fps) for file in expand(path, passed_over))
        for future in in_order(tasks, self.jobs):
            try:
                rows += [
                    reading.model_dump(exclude={"type", "causes", "latency_ms"}) | reading.causes
                    for reading in future.result()
                ]
            except InputError as error:
                errors.append(str(error))
        columns = ["source", "index", "pts_s", "score", "band", "void", *self.spec.causes]
        frame = pd.DataFrame(rows, columns=pd.Index(columns))
        frame.attrs["errors"] = errors + [str(error) for error in passed_over.unreadable]
        return frame

    def _readings(self, path: str, fps: float | None) -> list[Reading]:
        return list(self.stream(path, fps)) if is_video(path) else [self.score(path)]

    def _tasks(self, items: Iterable[PathLike | np.ndarray], fps: float | None) -> Iterator[Callable[[], Explanation]]:
        for item in items:
            for path in (item,) if isinstance(item, np.ndarray) else expand(item):
                if isinstance(path, str) and is_video(path):
                    yield from self._frames(path, fps)
                else:
                    yield partial(self.explain, path)

    def _frames(
        self, path: PathLike, fps: float | None, raw: RawVideo | None = None
    ) -> Iterator[Callable[[], Explanation]]:
        began, bars = perf_counter(), BarCrop()
        for frame in read_video(os.fspath(path), fps, raw):
            frame = replace(frame, picture=bars.crop(frame.picture)) if self._crop_bars else frame
            check_size(frame.picture.planes[0], frame.source)
            yield partial(self._explain, frame, perf_counter() - began)
            began = perf_counter()

    def _without_bars(self, picture: Planes) -> Planes:
        return BarCrop().crop(picture) if self._crop_bars else picture

    def _explain(self, frame: Frame, decode_s: float | None = None) -> Explanation:
        start = perf_counter()
        picture = within_reach(frame.picture)
        try:
            prediction, preprocess_s, infer_s = self.engine.score(picture)
        except InputError as error:
            raise InputError(f"{frame.source}: {error}") from None
        end = perf_counter()
        stages = {} if decode_s is None else {"decode": decode_s}
        stages |= {"preprocess": preprocess_s, "infer": infer_s, "total": end - start + (decode_s or 0)}
        reading = Reading(
            source=frame.source,
            index=frame.index,
            pts_s=frame.pts_s,
            score=prediction.score,
            band=band(prediction.score),
            void=prediction.void,
            causes=prediction.causes_by_name(),
            latency_ms={stage: seconds * 1000 for stage, seconds in stages.items()},
        )
        return Explanation(reading, frame.picture, None if prediction.void else prediction.map)


def _to_bgr(array: np.ndarray) -> np.ndarray:
    is_grey = array.ndim == 2
    if array.dtype != np.uint8 or not (is_grey or (array.ndim == 3 and array.shape[2] == 3)):
        actual = f"{array.dtype} {list(array.shape)}"
        raise InputError(f"array: expected uint8 [h, w, 3] in BGR or [h, w] in grey, found {actual}")
    check_size(array, "array")
    array = np.ascontiguousarray(array)
    return cv2.cvtColor(array, cv2.COLOR_GRAY2BGR) if is_grey else array
