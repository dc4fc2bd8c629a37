"""How every command of the project ends: one line for what the user can mend, no traceback, a telling exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from .errors import DpiqaError


def run(command: Callable[..., Any]) -> None:
    """Run a typer command or app as the program: exit status 2 for bad input, 3 for a broken gate, 130 for Ctrl-C."""
    app = command
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
    try:
        app()
    except DpiqaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
