"""The shell blocks of README and the documentation, and what the commands in them ask for.

A block is indented by four spaces. A comment before it, which no reader sees, says why no test runs it as it stands:
`<!-- needs a camera -->`, or `<!-- run by tests/test_demo.py -->`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, NamedTuple

import typer

from dpiqa.cli import app
from dpiqa.runtime.program import as_app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NEEDS = {"a broker", "a bucket", "a camera", "a clone", "a data set", "a GPU", "a Jetson", "a package index",
         "ExecuTorch", "minutes"}  # fmt: skip
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n\n?)?(?<=\n\n)(?P<text>(?: {4}[^\n]*\n|\n(?= {4}))+)", re.MULTILINE
)
_FOLDERS = {"benchmarks", "cpp_bindings", "docs", "examples", "models", "tests"}
_ENDS = {"&&", "||", "|", ";", "&", "(", ")"}


class Block(NamedTuple):
    """Lines for a shell; `needs` is what no test has, `run_by` the test that runs them."""

    page: Path
    line: int
    text: str
    needs: tuple[str, ...]
    run_by: str | None

    @property
    def name(self) -> str:
        """`docs/scoring.md:9`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The words of every simple command."""
        for line in self.text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in _ENDS:
                    words.append(word)
                elif words:
                    yield words
                    words = []


def blocks(page: Path) -> list[Block]:
    """All shell blocks of a page."""
    text = _FENCED.sub(lambda fenced: "\n" * fenced[0].count("\n"), page.read_text())
    return list(_blocks(page, text))


def _blocks(page: Path, text: str) -> Iterator[Block]:
    for block in _BLOCK.finditer(text):
        mark = block["mark"] or ""
        kind, _, rest = mark.removeprefix("run ").partition(" ")
        yield Block(
            page,
            text.count("\n", 0, block.start("text")) + 1,
            re.sub(r"^ {4}", "", block["text"], flags=re.MULTILINE).replace("\\\n", " "),
            tuple(rest.split(", ")) if kind == "needs" else (),
            rest if kind == "by" else None,
        )


def check_arguments(words: list[str]) -> bool:
    """Parse the arguments of one of our commands as it would; False for another program's.

    Raises what the command line raises for an unknown verb or option and for a value of the wrong kind.
    """
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if words[:3] == ["accelerate", "launch", "-m"]:
        words = words[3:]
    if words[:2] == ["python", "-m"] and (door := re.fullmatch(r"(train|export)\.(\w+)", words[2])):
        words = ["dpiqa", door[1], door[2], *words[3:]]
    if words[:1] == ["dpiqa"]:
        _parse(typer.main.get_command(app), words[1:])
    elif words[:1] == ["python"] and words[1:2] and words[1].startswith("benchmarks/"):
        module = import_module(Path(words[1]).stem)
        _parse(typer.main.get_command(getattr(module, "app", None) or as_app(module.main)), words[2:])
    else:
        return False
    return True


def check_requirements(words: list[str]) -> None:
    """See that what `pip install` is given exists: the package's extras, and versions as they were tested."""
    package = metadata("dpiqa-edge")
    tested = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    for word in words[2:]:
        if extras := re.fullmatch(r"\.\[(.*)\]", word):
            assert set(extras[1].split(",")) <= set(package.get_all("Provides-Extra") or ()), word
        elif "==" in word:
            assert word in tested, f"{word} is not in constraints.txt"


def check_paths(words: list[str]) -> None:
    """See that the repository's files that a command names are there."""
    for word in words:
        if word.partition("/")[0] in _FOLDERS:
            assert (ROOT / word).exists(), f"there is no {word}"


def _parse(command: Any, arguments: list[str]) -> None:
    while hasattr(command, "get_command") and arguments:
        verb = command.get_command(None, arguments[0])
        assert verb is not None, f"no verb {arguments[0]}"
        command, arguments = verb, arguments[1:]
    if "..." in arguments:
        known = {name for option in command.params for name in option.opts}
        assert {word for word in arguments if word.startswith("--")} <= known
        return
    with suppress(typer.Exit):  # of --help
        command.make_context(command.name, arguments)
