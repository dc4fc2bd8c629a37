"""How every command of the project ends: one line for what the user can mend, no traceback, a telling exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import typer

from .errors import DpiqaError

# The base of what typer raises for a wrong command line; some releases take it from click, some carry a copy.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def run(command: Callable[..., Any], name: str | None = None) -> NoReturn:
    """Run a typer command or app as the program, called `name`, and exit.

    Exit status: what the command ends with, 2 for bad input, 3 for a broken gate, 4 for a tool
    that is not installed, 130 for Ctrl-C, 143 for SIGTERM.
    """
    open_closed_streams()
    app = command
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
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
    except OSError as error:
        complain(f"{error.filename or 'output'}: {(error.strerror or str(error)).lower()}", name)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)


def leave_now(status: int) -> NoReturn:
    """End the process and not the interpreter first: a thread that sits in a library would crash on its way back."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def open_closed_streams() -> None:
    """Point standard streams that the caller closed (`>&-`) at nowhere, lest a file opened later take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def complain(message: str, name: str | None = None) -> None:
    """Tell on stderr, in one line, what is wrong."""
    print(*([f"{name}:"] if name else []), message.replace("\n", r"\n"), file=sys.stderr)


def _leave(*_: object) -> NoReturn:
    sys.exit(143)  # as an exception, so that unfinished files are cleaned up
