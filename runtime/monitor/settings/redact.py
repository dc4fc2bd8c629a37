"""Keeps credentials out of names, logs, metrics and errors."""

from __future__ import annotations

import re

HIDDEN = "***"
# Better hide too much: everything up to the last @ counts as credentials, since a password may hold any character.
# Some cameras take them as part of the path (`/user=admin_password=x_channel=1`), some pipelines as a property.
_SECRET = r"""(?ix) [\w-]* (?: user | login | pass | pwd | pw | secret | token | key | auth | sig | cred | session
    | streamid | sid | jwt | bearer | ticket | otp | pin | nonce | hash | hmac ) [\w-]*? \s*
    = ( \s* (?: "[^"]*" | '[^']*' | [^&;/?\#%s]* ) )"""
_IN_ADDRESS = re.compile(r"(?s)(?<=://)(.*)(?=@)"), re.compile(_SECRET % "")
_IN_PIPELINE = re.compile(r"(?s)(?<=://)((?:(?! ! ).)*)(?=@)"), re.compile(_SECRET % r"\s")
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^/?#\s'\"]*([^\s'\"]*)")
_PART = re.compile(r"(?<==)[^/?&;#=]+|[^/?&;#=]+")
# What nobody would call a stream: 16 letters and digits in a row, letters and digits that change often, groups of four.
_RANDOM = re.compile(
    r"(?i)(?=[a-z]*[0-9])[a-z0-9]{16,}|^eyj[a-z0-9]|(?:[a-z]+[-_.~%+]*[0-9]+[-_.~%+]*){4,}|(?:[a-z0-9]{4}-){3,}[a-z0-9]{4}"
)
_CASES = re.compile(r"(?=(?:[^A-Z]*[A-Z][^a-z]*[a-z]){5})[A-Za-z]{16,}")
_SHORT_RANDOM = re.compile(r"(?i)(?=.*[a-z])(?=.*[0-9])(?![0-9]+x[0-9]+$)[^.]{8,}")


def redact(text: str) -> str:
    """Replace users, passwords and the values of secret parameters in the text by `***`.

    Recognised are `scheme://user:password@`, `name=value` in a query, a path or a GStreamer pipeline where the name
    refers to a user, password, token, key, signature or session, and parts of an address that look random.
    """
    if "://" not in text and " ! " not in text:
        return text  # a file, whose name may contain anything
    is_address = re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE)
    # Search the original text only: a value may contain an @, a password a `token=`.
    patterns = _IN_ADDRESS if is_address else _IN_PIPELINE
    secrets = [match.span(1) for pattern in patterns for match in pattern.finditer(text)]
    secrets += _random(text)
    redacted, at = "", 0
    for start, end in sorted(secrets):
        if start > at:
            redacted += text[at:start] + HIDDEN
        at = max(at, end)
    return redacted + text[at:]


def _random(text: str) -> list[tuple[int, int]]:
    """Where the parts of addresses are that look random: segments of a path, and values."""
    spans = []
    for address in _ADDRESS.finditer(text):
        start = address.start(1)
        for part in _PART.finditer(address[1]):
            is_value = address[1][: part.start()].endswith("=")
            looks = (_RANDOM, _CASES, *([_SHORT_RANDOM] if is_value else []))
            if any(look.search(part[0]) for look in looks):
                spans.append((start + part.start(), start + part.end()))
    return spans
