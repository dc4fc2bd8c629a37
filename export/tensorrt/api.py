"""Full TensorRT or TensorRT-RTX, whichever is installed. Their Python modules have the same API."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from dpiqa.errors import EngineError, InputError, ToolError
from dpiqa.runtime.gpu import Gpu, find_gpu

FlavourName = Literal["tensorrt", "tensorrt-rtx"]
DEFAULT_SMS = "86,89,120"
_MODULES: dict[FlavourName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_ADVICE = (
    "`pip install '.[export]'` brings TensorRT-RTX (x86-64 Linux), `pip install '.[tensorrt]'` full "
    "TensorRT for the local GPU, and a Jetson has it from JetPack"
)


@dataclass(frozen=True)
class Flavour:
    """An installed TensorRT: its Python module, its version, and the GPU it builds for (full TensorRT only)."""

    name: FlavourName
    api: Any
    version: str
    gpu: Gpu | None

    def capabilities(self, sms: str | None) -> tuple[str, ...]:
        """The compute capabilities ("8.6") to build for, from a list such as `86,89,120`.

        Raises InputError for one that this flavour does not compile for.
        """
        if self.gpu is not None:
            if sms is not None:
                raise InputError(
                    f"--sm {sms}: full TensorRT builds for the local GPU ({self.gpu.compute_capability}); "
                    "leave --sm out, or take --flavour tensorrt-rtx"
                )
            return (self.gpu.compute_capability,)
        supported = [name[2:] for name in self.api.ComputeCapability.__members__ if name.startswith("SM")]
        requested = [sm.strip() for sm in (sms or DEFAULT_SMS).split(",")]
        for sm in requested:
            if sm not in supported:
                choices = ", ".join(sorted(supported, key=int))
                raise InputError(f"--sm {sm}: TensorRT-RTX {self.version} compiles for {choices}")
        return tuple(f"{sm[:-1]}.{sm[-1]}" for sm in dict.fromkeys(requested))


def find_flavour(name: Literal["auto"] | FlavourName = "auto") -> Flavour:
    """The flavour `name`; `auto`: full TensorRT if it is installed and there is a GPU, otherwise TensorRT-RTX.

    Raises ToolError when it is not installed, EngineError for full TensorRT without a GPU.
    """
    gpu = find_gpu()
    if name == "tensorrt" or (name == "auto" and gpu is not None):
        api = _module("tensorrt")
        if api is not None and gpu is None:
            raise EngineError("full TensorRT builds on the GPU that runs the engine, and there is none; "
                              "--flavour tensorrt-rtx compiles without one")  # fmt: skip
        if api is not None:
            return Flavour("tensorrt", api, api.__version__, gpu)
    if name in ("tensorrt-rtx", "auto"):
        api = _module("tensorrt-rtx")
        if api is not None:
            return Flavour("tensorrt-rtx", api, api.__version__, None)
    missing = "no TensorRT" if name == "auto" else f"no {_MODULES[name]}"
    raise ToolError(f"{missing} is installed: {_ADVICE}")


def _module(name: FlavourName) -> Any | None:
    try:
        return importlib.import_module(_MODULES[name])
    except (ImportError, OSError):  # absent, or its libraries are
        return None
