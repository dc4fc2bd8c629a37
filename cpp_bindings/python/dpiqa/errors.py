"""The errors that users see: each message is one line that says what is wrong, where, and what to do."""

from __future__ import annotations

from os import PathLike


class DpiqaError(Exception):
    """Base of every error raised on purpose. `exit_status` is what a command ends with."""

    exit_status = 2


class InputError(DpiqaError):
    """A picture, video, folder or table that cannot be used."""


def system_reason(error: OSError | UnicodeDecodeError) -> str:
    """Why the system could not read, write or listen, in lower case, to end a message."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return (error.strerror or str(error)).lower()


def unreadable(path: str | PathLike[str], error: OSError | UnicodeDecodeError) -> InputError:
    """An InputError for a file that cannot be read."""
    return InputError(f"{path}: {system_reason(error)}")


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
