"""Score pictures and videos from Python: `python examples/score.py photo.jpg movie.mkv shots/`."""

from __future__ import annotations

import sys

from dpiqa import InputError, Scorer

scorer = Scorer()  # the shipped model; or Scorer("dpiqa-lite0-int8"), Scorer("mine.onnx", engine="onnxruntime")
try:
    for reading in scorer.score_many(sys.argv[1:], fps=1):  # one frame per second of a video
        cause = max(reading.causes, key=reading.causes.__getitem__) if reading.causes else "none named"
        place = "" if reading.pts_s is None else f" at {reading.pts_s:.1f} s"
        print(f"{reading.source}{place}: {reading.score:.1f} ({reading.band}), strongest cause: {cause}")
except InputError as error:
    sys.exit(str(error))
