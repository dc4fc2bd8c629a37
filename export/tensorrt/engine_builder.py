"""From ONNX to a TensorRT engine, the same way for TensorRT 8.6, 10, 11 and TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import onnx
from rich.progress import Progress, TaskID

from dpiqa.errors import EngineError, InputError, system_reason
from dpiqa.export.gate.progress import progress_bar
from dpiqa.export.tensorrt.api import Flavour
from dpiqa.export.tensorrt.precisions import Layer, layers_from_inspector, layers_from_log
from dpiqa.runtime.files import atomic_write
from dpiqa.runtime.spec import ModelSpec


@dataclass(frozen=True)
class BuildOptions:
    """What an engine is built for. `batches`: smallest, optimal and largest number of frames at once.

    Raises InputError for numbers that contradict each other.
    """

    capabilities: tuple[str, ...]
    batches: tuple[int, int, int] = (1, 1, 4)
    workspace_mb: int | None = None
    dla: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False

    def __post_init__(self) -> None:
        smallest, optimal, largest = self.batches
        if not 1 <= smallest <= optimal <= largest:
            raise InputError(f"batches must be 1 <= min <= opt <= max, found {smallest}, {optimal}, {largest}")

    def on(self, flavour: Flavour, sms: str | None) -> BuildOptions:
        """The same for a flavour and its GPUs; InputError for an option that the flavour does not support."""
        if flavour.name == "tensorrt-rtx":
            for name, value in (("--dla", self.dla), ("--timing-cache", self.timing_cache)):
                if value is not None:
                    raise InputError(f"{name} {value}: TensorRT-RTX has none, full TensorRT does (--flavour tensorrt)")
            if self.version_compatible:
                raise InputError("--version-compatible: TensorRT-RTX has no lean runtime (--flavour tensorrt has one)")
        if self.dla is not None and self.batches[0] != self.batches[2]:
            raise InputError(
                f"--dla {self.dla}: a DLA core takes one batch size, found {self.batches[0]} to {self.batches[2]}; "
                "--max-batch 1 builds for one frame"
            )
        return replace(self, capabilities=flavour.capabilities(sms))


@dataclass(frozen=True)
class Engine:
    """A serialized engine and its layers; none when TensorRT did not list them."""

    plan: bytes
    layers: list[Layer]


def build(flavour: Flavour, model: onnx.ModelProto, spec: ModelSpec, options: BuildOptions) -> Engine:
    """Compile `model`, with a progress bar on a terminal. Ctrl-C ends the build at its next step.

    Raises EngineError with TensorRT's reason.
    """
    cancelled = Event()
    with ThreadPoolExecutor(1) as builder, progress_bar() as bar:
        building = builder.submit(_build, flavour, model, spec, options, cancelled, bar)
        try:
            return building.result()
        finally:
            cancelled.set()  # Ctrl-C interrupts this thread; TensorRT's builder checks the event from its own


def _build(
    flavour: Flavour, model: onnx.ModelProto, spec: ModelSpec, options: BuildOptions, cancelled: Event, bar: Progress
) -> Engine:
    api, log = flavour.api, _Log()
    logger = _logger(api, log)
    builder = api.Builder(logger)
    if options.dla is not None and options.dla >= builder.num_DLA_cores:
        raise EngineError(f"--dla {options.dla}: TensorRT {flavour.version} has {builder.num_DLA_cores} DLA cores here")
    typed = is_typed(api, options)
    kinds = api.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(kinds.STRONGLY_TYPED) if typed else _EXPLICIT_BATCH)
    parser = api.OnnxParser(network, logger)
    if not parser.parse(model.SerializeToString()):
        raise EngineError(f"TensorRT cannot read this network: {parser.get_error(0).desc().splitlines()[0]}")
    config = builder.create_builder_config()
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    profile.set_shape("frames", *((n, spec.input.height, spec.input.width, 3) for n in options.batches))
    config.add_optimization_profile(profile)
    if hasattr(config, "progress_monitor"):
        config.progress_monitor = _monitor(api, cancelled, bar)
    if not typed and spec.precision != "fp32":  # it obeys Q/DQ and FP16 nodes only where flags allow it
        config.set_flag(api.BuilderFlag.INT8 if spec.precision == "int8" else api.BuilderFlag.FP16)
    set_reach(api, config, options)
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    if options.dla is not None:
        config.default_device_type, config.DLA_core = api.DeviceType.DLA, options.dla
        config.set_flag(api.BuilderFlag.GPU_FALLBACK)
    if flavour.name == "tensorrt-rtx":
        config.num_compute_capabilities = len(options.capabilities)
        for place, capability in enumerate(options.capabilities):
            sm = api.ComputeCapability.__members__[f"SM{capability.replace('.', '')}"]
            config.set_compute_capability(sm, place)
    with _timing_cache(config, options.timing_cache):
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f"TensorRT could not build the engine: {log.reason()}")
    return Engine(bytes(plan), _layers(flavour, logger, plan, log))


_EXPLICIT_BATCH = 1  # TensorRT 8.6; later ones ignore it


def is_typed(api: Any, options: BuildOptions) -> bool:
    """Whether the types of tensors are obeyed: from TensorRT 9 on, but not for DLA where flags choose FP16."""
    if options.dla is not None and hasattr(api.BuilderFlag, "FP16"):
        return False
    return hasattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def shares_profiles(api: Any) -> bool:
    """Whether this TensorRT builds for several execution contexts a profile only on demand, as 8.6 does."""
    return hasattr(getattr(api, "PreviewFeature", None), "PROFILE_SHARING_0806")


def set_reach(api: Any, config: Any, options: BuildOptions) -> None:
    """Let the engine run in several contexts at once, and in the lean runtime of later versions if wanted."""
    if shares_profiles(api):
        config.set_preview_feature(api.PreviewFeature.PROFILE_SHARING_0806, True)
    if options.version_compatible:
        if not hasattr(api.BuilderFlag, "VERSION_COMPATIBLE"):
            raise InputError("--version-compatible: needs TensorRT 8.6 or later")
        config.set_flag(api.BuilderFlag.VERSION_COMPATIBLE)
        config.set_flag(
            api.BuilderFlag.EXCLUDE_LEAN_RUNTIME
        )  # the device has one; a plan with another grows by its size


def _layers(flavour: Flavour, logger: Any, plan: Any, log: _Log) -> list[Layer]:
    if flavour.gpu is None:
        return layers_from_log("\n".join(log.lines))
    engine = flavour.api.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"TensorRT cannot load the engine that it built: {log.reason()}")
    inspector = engine.create_engine_inspector()
    return layers_from_inspector(inspector.get_engine_information(flavour.api.LayerInformationFormat.JSON))


@dataclass
class _Log:
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def reason(self) -> str:
        return self.errors[0].splitlines()[0] if self.errors else "it gave no reason"


def _logger(api: Any, log: _Log) -> Any:
    class Logger(api.ILogger):
        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.lines.append(message)
            if severity in (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR):
                log.errors.append(message)

    return Logger()


def _monitor(api: Any, cancelled: Event, bar: Progress) -> Any:
    tasks: dict[str, TaskID] = {}

    class Monitor(api.IProgressMonitor):
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tasks[phase_name] = bar.add_task(phase_name, total=num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            bar.update(tasks[phase_name], completed=step + 1)
            return not cancelled.is_set()

        def phase_finish(self, phase_name: str) -> None:
            bar.remove_task(tasks.pop(phase_name))

    return Monitor()


@contextmanager
def _timing_cache(config: Any, path: Path | None) -> Iterator[None]:
    """Let the builder use the timings of earlier builds, and save those of this one."""
    if path is None:
        yield
        return
    try:
        timings = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"--timing-cache {path}: {system_reason(error)}") from None
    cache = config.create_timing_cache(timings)
    if cache is None or not config.set_timing_cache(cache, False):
        raise InputError(f"--timing-cache {path}: belongs to another TensorRT or GPU, name a new file")
    yield
    with atomic_write(path) as file:
        file.write(bytes(config.get_timing_cache().serialize()))
