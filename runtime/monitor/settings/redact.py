"""Keeping credentials out of everything that is shown: names, logs, metrics, errors."""

from __future__ import annotations

import re

HIDDEN = "***"
# Secrecy before looks: all up to the last @ is taken for user and password, since a password may hold any character.
# Some cameras take it as a part of the path (`/user=admin_password=x_channel=1`), some pipelines as a property.
_SECRET = r"""(?ix) [\w-]* (?: user | login | pass | pwd | pw | secret | token | key | auth | sig | cred | session
    | streamid ) [\w-]*? \s* = ( \s* (?: "[^"]*" | '[^']*' | [^&;/?\#%s]* ) )"""
_IN_ADDRESS = re.compile(r"(?s)(?<=://)(.*)(?=@)"), re.compile(_SECRET % "")
_IN_PIPELINE = re.compile(r"(?s)(?<=://)((?:(?! ! ).)*)(?=@)"), re.compile(_SECRET % r"\s")


def redact(text: str) -> str:
    """The text with users, passwords and the values of secret parameters in it replaced by `***`.

    Known are `scheme://user:password@`, and `name=value` in a query, a path or a GStreamer pipeline where the name
    speaks of a user, password, token, key, signature or session.
    """
    if "://" not in text and " ! " not in text:
        return text  # a file, whose name may hold anything
    is_address = re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE)
    # All are looked for in the text as it came: a value may hold an @, a password a `token=`.
    patterns = _IN_ADDRESS if is_address else _IN_PIPELINE
    secrets = [match.span(1) for pattern in patterns for match in pattern.finditer(text)]
    shown, at = "", 0
    for start, end in sorted(secrets):
        if start > at:
            shown += text[at:start] + HIDDEN
        at = max(at, end)
    return shown + text[at:]
