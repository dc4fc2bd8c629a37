"""The errors that the core raises: each message is one line that says what is wrong, where, and what to do."""


class DpiqaError(Exception):
    """Base of every error raised on purpose."""


class InputError(DpiqaError):
    """A frame or an argument that cannot be used."""


class ContractError(DpiqaError):
    """A model file whose contract is missing, unreadable or out of range."""


class EngineError(DpiqaError):
    """An engine that cannot run here, or failed while running."""
