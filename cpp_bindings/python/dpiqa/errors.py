"""The errors that users see: each message is one line that says what is wrong, where, and what to do."""

from __future__ import annotations

from os import PathLike


class DpiqaError(Exception):
    """Base of every error raised on purpose. `exit_status` is what a command ends with."""

    exit_status = 2


class InputError(DpiqaError):
    """A picture, video, folder or table that cannot be used."""


def unreadable(path: str | PathLike[str], error: OSError) -> InputError:
    """What the system said of a file, as an InputError."""
    return InputError(f"{path}: {(error.strerror or str(error)).lower()}")


class ContractError(DpiqaError):
    """A model file whose contract is missing, unreadable or out of range."""


class EngineError(DpiqaError):
    """An engine that cannot run here, or failed while running."""


class GateError(DpiqaError):
    """An exported model that broke its quality budget; nothing was written."""

    exit_status = 3


class ToolError(DpiqaError):
    """A tool that this installation lacks; what could be made without it was written."""

    exit_status = 4
