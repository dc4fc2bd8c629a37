"""The NVIDIA driver, its GPUs and the installed TensorRT packages, found without loading any of NVIDIA's SDKs."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_FLAVOURS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, its compute capability such as "8.6", its memory in MiB."""

    name: str
    compute_capability: str
    memory_mib: int


@dataclass(frozen=True)
class Driver:
    """The driver: its version, the newest CUDA that it runs, its GPUs; `why_absent` says why there is none to use."""

    version: str | None = None
    cuda: str | None = None
    gpus: tuple[Gpu, ...] = ()
    why_absent: str | None = None


@dataclass(frozen=True)
class TensorRt:
    """An importable TensorRT: its flavour as export.trt calls it, its version (None where nothing states it)."""

    flavour: str
    version: str | None


def find_driver() -> Driver:
    """Ask the driver's own library, which every driver brings; never raises."""
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError:
        return Driver(why_absent=f"no NVIDIA driver ({_LIBRARY} cannot be loaded)")
    try:
        return _ask(cuda)
    except (_CudaError, AttributeError) as error:  # AttributeError: a function that this driver lacks
        return Driver(version=_driver_version(), why_absent=f"the NVIDIA driver does not answer ({error})")


def find_tensorrt() -> tuple[TensorRt, ...]:
    """The TensorRT packages that this Python could import."""
    versions = {_normal(package.metadata["Name"] or ""): package.version for package in distributions()}
    return tuple(
        TensorRt(flavour, _version_of(flavour, versions))
        for flavour, module in _FLAVOURS.items()
        if find_spec(module) is not None
    )


def find_gpu() -> Gpu | None:
    """The first GPU, or None where there is none or its driver does not answer."""
    return next(iter(find_driver().gpus), None)


class _CudaError(Exception):
    pass


def _ask(cuda: Any) -> Driver:
    _check(cuda, cuda.cuInit(0))
    number, count = ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(number)))
    _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)))
    version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    gpus = tuple(_gpu(cuda, index) for index in range(count.value))
    return Driver(_driver_version(), version, gpus, None if gpus else "the NVIDIA driver has no GPU")


def _gpu(cuda: Any, index: int) -> Gpu:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(device), index))
    _check(cuda, cuda.cuDeviceGetName(name, len(name), device))
    _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device))
    _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device))
    _check(cuda, cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", memory.value >> 20)


def _check(cuda: Any, status: int) -> None:
    if status != 0:
        name = ctypes.c_char_p()
        cuda.cuGetErrorName(status, ctypes.byref(name))
        raise _CudaError((name.value or b"").decode() or f"CUDA error {status}")


def _driver_version() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return None


def _version_of(flavour: str, versions: dict[str, str]) -> str | None:
    names = [flavour, *(name for name in sorted(versions) if name.startswith(f"{flavour}-cu"))]
    return next((versions[name] for name in names if name in versions), None)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
