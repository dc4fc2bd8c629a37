"""Draw docs/explain.jpg: the shipped model on a good photograph with one part out of focus.

    python docs/pictures/make_explain_picture.py gb82-image-set/png/dog-lossless.png docs/explain.jpg

The photograph is CC0 (`gianni-rosato/gb82-image-set`); the distortion is one of the training's, which did
not use this picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from dpiqa import Scorer
from dpiqa.runtime.explain import draw
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.pictures import read_picture
from dpiqa.train.distortions.frames import distorted_pair


def main(photograph: Path, out: Path) -> None:
    """Write the picture as JPEG."""
    _, blurred = distorted_pair(read_picture(photograph), "defocus", level=5, seed=3, regional=True)
    picture = draw(Scorer().explain(blurred))
    with atomic_write(out) as file:
        file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
