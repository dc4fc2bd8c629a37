"""How every command of the project runs: one line for what the user can mend, no traceback, a telling exit status."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from typing import Any, NoReturn

import typer

from dpiqa.errors import DpiqaError, ToolError, system_reason
from dpiqa.runtime.text import visible

# The base of what typer raises for a wrong command line; some releases take it from click, some carry a copy.
_FLOOR = re.compile(r"(?:dpiqa\.)?(train|export|runtime\.monitor)\b")
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def as_app(command: Callable[..., Any], epilog: str | None = None) -> typer.Typer:
    """A typer app of one command; `epilog` ends its help."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog=epilog)(command)
    return app


def run(command: Callable[..., Any], name: str | None = None) -> NoReturn:
    """Run a typer command or app as the program, called `name`, and exit.

    Exit status: what the command ends with, 2 for bad input, 3 for a broken gate, 4 for a tool
    that is not installed, 130 for Ctrl-C, 143 for SIGTERM.
    """
    open_closed_streams()
    app = command if isinstance(command, typer.Typer) else as_app(command)
    signal.signal(signal.SIGTERM, _leave)
    status = 2
    try:
        status = app(prog_name=name, standalone_mode=False) or 0
    except DpiqaError as error:
        status = error.exit_status
        complain(str(error), name)
    except _UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        if message:  # empty where no argument at all was given, and the help was shown
            complain(f"{message} (see --help)", name)
    except ModuleNotFoundError as error:
        extra = _extra_of(error)
        if extra is None:
            raise
        status = ToolError.exit_status
        complain(f"the package '{error.name}' is missing, install it with: pip install '.[{extra}]'", name)
    except OSError as error:
        complain(f"{error.filename or 'output'}: {system_reason(error)}", name)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)


def _extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra that brings what the innermost of our floors could not import; None for a module of our own."""
    if (error.name or "dpiqa").partition(".")[0] == "dpiqa":
        return None
    specs = [frame.f_globals.get("__spec__") for frame, _ in walk_tb(error.__traceback__)]
    floors = [_FLOOR.match(spec.name) for spec in specs if spec]
    return next((floor[1].rpartition(".")[2] for floor in floors if floor), None)


def arguments_of(verb: str) -> list[str]:
    """The command-line arguments after the verb, of `dpiqa export VERB ...` and of `python -m export.VERB ...`."""
    typed = sys.argv[1:]
    return typed[typed.index(verb) + 1 :] if Path(sys.argv[0]).stem != verb and verb in typed else typed


def leave_now(status: int) -> NoReturn:
    """End the process without shutting the interpreter down: a thread still inside a library would crash."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def open_closed_streams() -> None:
    """Point streams that the caller closed (`>&-`) at /dev/null: a file opened later must not take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


@contextmanager
def native_output_silenced() -> Iterator[None]:
    """Keep libraries off stderr: libpng, libjpeg, FFmpeg and OpenCV write there about every bad file."""
    ours = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1)
    theirs = sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        sys.stderr = ours
        yield
    finally:
        sys.stderr = theirs
        os.dup2(ours.fileno(), 2)
        ours.close()
        os.close(nowhere)


def log_times() -> None:
    """From now on the program's log lines carry time (UTC) and level instead of its name."""
    formatter = logging.Formatter("{asctime}.{msecs:03.0f}Z {levelname} {message}", "%Y-%m-%dT%H:%M:%S", style="{")
    formatter.converter = time.gmtime
    for handler in logging.getLogger("dpiqa").handlers:
        handler.setFormatter(formatter)


def complain(message: str, name: str | None = None) -> None:
    """Write one line to stderr that says what is wrong."""
    print(*([f"{name}:"] if name else []), visible(message), file=sys.stderr)


def _leave(*_: object) -> NoReturn:
    sys.exit(143)  # as an exception, so that unfinished files are cleaned up
