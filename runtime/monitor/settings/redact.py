"""Keeps credentials out of names, logs, metrics and errors."""

from __future__ import annotations

import re

HIDDEN = "***"
# Better hide too much: everything up to the last @ counts as credentials, since a password may hold any character.
# Some cameras take them as part of the path (`/user=admin_password=x_channel=1`), some pipelines as a property.
_SECRET = r"""(?ix) [\w-]* (?: user | login | pass | pwd | pw | secret | token | key | auth | sig | cred | session
    | streamid ) [\w-]*? \s* = ( \s* (?: "[^"]*" | '[^']*' | [^&;/?\#%s]* ) )"""
_IN_ADDRESS = re.compile(r"(?s)(?<=://)(.*)(?=@)"), re.compile(_SECRET % "")
_IN_PIPELINE = re.compile(r"(?s)(?<=://)((?:(?! ! ).)*)(?=@)"), re.compile(_SECRET % r"\s")


def redact(text: str) -> str:
    """Replace users, passwords and the values of secret parameters in the text by `***`.

    Recognised are `scheme://user:password@`, and `name=value` in a query, a path or a GStreamer pipeline where the name
    refers to a user, password, token, key, signature or session.
    """
    if "://" not in text and " ! " not in text:
        return text  # a file, whose name may contain anything
    is_address = re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE)
    # Search the original text only: a value may contain an @, a password a `token=`.
    patterns = _IN_ADDRESS if is_address else _IN_PIPELINE
    secrets = [match.span(1) for pattern in patterns for match in pattern.finditer(text)]
    redacted, at = "", 0
    for start, end in sorted(secrets):
        if start > at:
            redacted += text[at:start] + HIDDEN
        at = max(at, end)
    return redacted + text[at:]
