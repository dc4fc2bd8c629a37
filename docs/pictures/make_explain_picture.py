"""Draw docs/explain.jpg: the shipped model on a part of the example clip with one place out of focus.

    python docs/pictures/make_explain_picture.py

The distortion is one of the training's, which did not use these photographs (CC0).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dpiqa import Scorer
from dpiqa.runtime.explain import draw
from dpiqa.runtime.files import atomic_write
from dpiqa.train.distortions.frames import distorted_pair

ROOT = Path(__file__).parents[2]
AT_FRAME, LEFT = 250, 420


def main() -> None:
    """Write the picture."""
    capture = cv2.VideoCapture(str(ROOT / "examples" / "clip.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, AT_FRAME)
    frame = np.asarray(capture.read()[1], np.uint8)
    square = np.ascontiguousarray(frame[:, LEFT : LEFT + len(frame)])
    _, blurred = distorted_pair(square, "defocus", level=5, seed=3, regional=True)
    with atomic_write(ROOT / "docs" / "explain.jpg") as file:
        picture = draw(Scorer().explain(blurred))
        file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


if __name__ == "__main__":
    main()
