"""Full TensorRT or TensorRT-RTX: which of them is here. Their Python modules speak the same language."""

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
    "TensorRT for the GPU at hand, and a Jetson has it from JetPack"
)


@dataclass(frozen=True)
class Flavour:
    """An installed TensorRT: its Python module, its version, and the GPU it builds for (full TensorRT only)."""

    name: FlavourName
    api: Any
    version: str
    gpu: Gpu | None

    def capabilities(self, sms: str | None) -> tuple[str, ...]:
        """What to build for, as compute capabilities ("8.6"), from a list such as `86,89,120`.

        Raises InputError for what this flavour does not compile for.
        """
        if self.gpu is not None:
            if sms is not None:
                raise InputError(
                    f"--sm {sms}: full TensorRT builds for the GPU at hand ({self.gpu.compute_capability}); "
                    "leave --sm out, or take --flavour tensorrt-rtx"
                )
            return (self.gpu.compute_capability,)
        known = [name[2:] for name in self.api.ComputeCapability.__members__ if name.startswith("SM")]
        found = [sm.strip() for sm in (sms or DEFAULT_SMS).split(",")]
        for sm in found:
            if sm not in known:
                listed = ", ".join(sorted(known, key=int))
                raise InputError(f"--sm {sm}: TensorRT-RTX {self.version} compiles for {listed}")
        return tuple(f"{sm[:-1]}.{sm[-1]}" for sm in dict.fromkeys(found))


def find_flavour(wanted: Literal["auto"] | FlavourName = "auto") -> Flavour:
    """The flavour asked for; `auto`: full TensorRT where it is installed and a GPU answers, else TensorRT-RTX.

    Raises ToolError when it is not installed, EngineError when full TensorRT is asked for and no GPU answers.
    """
    gpu = find_gpu()
    if wanted == "tensorrt" or (wanted == "auto" and gpu is not None):
        api = _module("tensorrt")
        if api is not None and gpu is None:
            raise EngineError("full TensorRT builds on the GPU that runs the engine, and none answers here; "
                              "--flavour tensorrt-rtx compiles without one")  # fmt: skip
        if api is not None:
            return Flavour("tensorrt", api, api.__version__, gpu)
    if wanted in ("tensorrt-rtx", "auto"):
        api = _module("tensorrt-rtx")
        if api is not None:
            return Flavour("tensorrt-rtx", api, api.__version__, None)
    named = "no TensorRT" if wanted == "auto" else f"no {_MODULES[wanted]}"
    raise ToolError(f"{named} is installed: {_ADVICE}")


def _module(name: FlavourName) -> Any | None:
    try:
        return importlib.import_module(_MODULES[name])
    except (ImportError, OSError):  # absent, or its libraries are
        return None
