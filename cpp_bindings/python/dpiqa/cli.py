"""The command `dpiqa`: the verbs of the runtime, and one group of verbs for each floor above it."""

from __future__ import annotations

import io
import logging
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, ClassVar, NoReturn

import typer
from typer.core import TyperGroup

from dpiqa.runtime.cli import app as runtime_app
from dpiqa.runtime.program import as_app, complain, open_closed_streams, run

TRAIN_VERBS = ("student", "soup", "heads", "teacher", "teacher-cache", "distill", "qat", "evaluate", "protocol",
               "order", "calibrate", "degrade", "near-duplicates")  # fmt: skip
EXPORT_VERBS = ("onnx", "int8", "qat", "verify", "trt", "executorch", "triton", "deepstream", "card",
                "hub")  # fmt: skip


class _Floor(TyperGroup):
    """The commands of a floor, each imported when it is asked for."""

    floor: ClassVar[str]
    verbs: ClassVar[tuple[str, ...]]

    def list_commands(self, ctx: Any) -> list[str]:
        """See click."""
        return list(self.verbs)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See click."""
        if cmd_name not in self.verbs:
            return None
        module = import_module(f"dpiqa.{self.floor}.{cmd_name.replace('-', '_')}")
        command: Any = typer.main.get_command(as_app(module.main, _example(module)))
        command.name = cmd_name
        return command


class _Train(_Floor):
    floor = "train"
    verbs = TRAIN_VERBS


class _Export(_Floor):
    floor = "export"
    verbs = EXPORT_VERBS


def _example(module: ModuleType) -> str:
    return f"Example: {module.EXAMPLE}"


app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Scores the quality of pictures and video, 0 (bad) to 100 (excellent), without a reference.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(runtime_app)
app.add_typer(typer.Typer(cls=_Train, no_args_is_help=True), name="train", help="Train and measure models.")
app.add_typer(typer.Typer(cls=_Export, no_args_is_help=True), name="export", help="Quantize, compile and prove models.")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(describe_version())
        raise typer.Exit


def describe_version() -> str:
    """The versions of the package, of the native core and of the default model, on one line."""
    from importlib.metadata import PackageNotFoundError, version

    from dpiqa.errors import DpiqaError
    from dpiqa.runtime.engines.native import core_version
    from dpiqa.runtime.engines.registry import open_engine
    from dpiqa.runtime.models import DEFAULT_MODEL, shipped_model

    try:
        package = version("dpiqa-edge")
    except PackageNotFoundError:
        package = "(not installed)"
    try:
        model = open_engine(shipped_model()).spec.version
    except DpiqaError:
        model = "absent"
    return f"dpiqa {package}, core {core_version() or 'absent'}, {DEFAULT_MODEL} {model}"


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the versions and exit.")
    ] = False,
) -> None:
    """Scores the quality of pictures and video, 0 (bad) to 100 (excellent), without a reference."""


def main() -> NoReturn:
    """Run the command and exit."""
    open_closed_streams()
    if sys.argv[1:2] == ["monitor"] and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which reloads, once there is something to reload
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    logger, handler = logging.getLogger("dpiqa"), _ToStderr()
    logger.addHandler(handler)
    try:
        run(app, "dpiqa")
    finally:
        logger.removeHandler(handler)


class _ToStderr(logging.Handler):
    """One line a record, to the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        if self.formatter is None:
            complain(record.getMessage(), "dpiqa")
        else:
            complain(self.format(record))


if __name__ == "__main__":
    main()
