"""Text that is safe to show on a terminal."""

from __future__ import annotations

_NAMED = {0x09: r"\t", 0x0A: r"\n", 0x0D: r"\r"}
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}" for code in _CONTROLS} | _NAMED


def visible(text: str) -> str:
    """The text on one line, with characters that would move the cursor or colour the terminal written as escapes.

    Bytes of a file's name that are not UTF-8 are escaped as well (`\\udcff`).
    """
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode()


def visible_lines(text: str) -> str:
    """As `visible`, of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))
