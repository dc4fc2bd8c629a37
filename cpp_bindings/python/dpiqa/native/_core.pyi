"""The compiled module."""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__version__: str

Format: TypeAlias = Literal["bgr", "rgb", "gray", "nv12", "i420", "yuyv", "uyvy", "rgba", "p010"]
Colour: TypeAlias = Literal["bt601-limited", "bt601-full", "bt709-limited", "bt709-full"]
Plane: TypeAlias = np.ndarray  # of uint8, uint16 for p010: what OpenCV returns is not typed more narrowly
Frame: TypeAlias = Plane | tuple[Plane, ...]

class Result:
    """What a frame got: score, causes float32 `[K]` from 0 to 1, map float32 `[h, w]`, or None without them.

    `void` says that there is nothing to see: then the score and the map are the lowest, and the causes 0.
    """

    @property
    def score(self) -> float: ...
    @property
    def void(self) -> Literal["black", "white", "flat"] | None: ...
    @property
    def causes(self) -> NDArray[np.float32] | None: ...
    @property
    def map(self) -> NDArray[np.float32] | None: ...
    @property
    def preprocess_ms(self) -> float: ...
    @property
    def infer_ms(self) -> float: ...

class Model:
    """Scores frames with one model file; many threads may call it at once.

    `threads` and `requests` (frames in flight, at most 64) are the engine's choice when 0; `unverified` skips the
    comparison of the weights with their digest. `max_wait_ms`, 0 to 1000: how long a frame may wait for those of other
    threads to fill a batch, where the engine runs batches (tensorrt). Raises EngineError or ContractError.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        engine: Literal["auto", "openvino", "tensorrt", "executorch"] = "auto",
        threads: int = 0,
        requests: int = 0,
        mode: Literal["latency", "throughput"] = "latency",
        force_float32: bool = False,
        unverified: bool = False,
        max_wait_ms: int = 0,
        cache: str | PathLike[str] = "",
    ) -> None: ...
    def score(self, frame: Frame, format: Format = "bgr", colour: Colour | None = None) -> Result:
        """Score a frame, read where it lies; YUV formats must state their colour.

        uint8 `[h, w, 3]` for bgr and rgb, `[h, w, 4]` rgba, `[h, w]` gray, `[h, w, 2]` yuyv and uyvy,
        `[h * 3 / 2, w]` nv12 and i420, or the planes as a tuple; p010 is nv12 in uint16. Rows may be
        any distance apart but have no gaps within. Raises InputError, EngineError.
        """

    def score_many(
        self, frames: Sequence[Frame], format: Format = "bgr", colour: Colour | None = None, ignore_void: bool = False
    ) -> list[Result]:
        """Score frames of one format, in order, on as many requests as are free.

        With `ignore_void`, frames in which there is nothing to see get what the network says of them.
        """

    @property
    def contract(self) -> str:
        """The model's contract, JSON."""

    @property
    def engine(self) -> str:
        """The name of the engine that runs it."""

    @property
    def requests(self) -> int:
        """How many inferences can be in flight at once."""

class Signals:
    """What can be measured of a frame without a model; dpiqa.h says how.

    `focus` and `blockiness` have no unit, the others are shares of full scale or of the pixels, 0 to 1. `difference` is
    that to the frame before, None without one of equal size.
    """

    @property
    def focus(self) -> float: ...
    @property
    def brightness(self) -> float: ...
    @property
    def clipped_low(self) -> float: ...
    @property
    def clipped_high(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def noise(self) -> float: ...
    @property
    def blockiness(self) -> float: ...
    @property
    def difference(self) -> float | None: ...

class Meter:
    """Measures the frames of one source in their order, without a model."""

    def __init__(self) -> None: ...
    def measure(self, frame: Frame, format: Format = "bgr", colour: Colour | None = None) -> Signals:
        """Measure a frame, described as for Model.score. Raises InputError."""

def preprocess(
    frame: Frame, width: int, height: int, format: Format = "bgr", colour: Colour | None = None
) -> NDArray[np.uint8]:
    """Resize and colour alone: RGB uint8 `[height, width, 3]`, a row of the tensor `frames`."""

def check_engine(
    engine: str | PathLike[str],
    *,
    flavour: Literal["tensorrt", "tensorrt-rtx"],
    library: int,
    compute_capability: str,
    lean: bool = False,
) -> None:
    """Check by its manifest whether a TensorRT engine would run on another machine.

    `library`: what `getInferLibVersion()` returns there. `lean`: it is the lean runtime. Raises EngineError or
    ContractError.
    """

def check_weights(path: str | PathLike[str]) -> None:
    """Compare the weights of an ONNX model file with the digest in its contract. Raises ContractError, EngineError."""
