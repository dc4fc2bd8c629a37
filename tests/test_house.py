"""The rules of the house (CONTRIBUTING.md), checked on the code itself."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from dpiqa.cli import EXPORT_VERBS, TRAIN_VERBS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cpp_bindings" / "python" / "dpiqa"
# A floor imports only what is below it.
FLOORS = ("dpiqa.errors", "dpiqa.native", "dpiqa.runtime", "dpiqa.train", "dpiqa.export", "dpiqa.cli")
# Inside a floor, a wing imports only what is left of it.
WINGS = {
    "dpiqa.runtime.monitor": (
        *("settings", "evidence", "messages", "snapshots", "charts", "history", "alarms"),
        *("sources", "dashboard", "sinks", "report"),
    ),
    "dpiqa.train": ("model_files", "data", "loop", "distortions", "students", "teachers", "evaluation"),
    "dpiqa.export": ("graphs", "gate", "quantization", "tensorrt", "serving", "cards"),
}
NEVER_IN_RUNTIME = {"torch", "torchvision", "timm", "diffusers", "transformers", "onnx", "modelopt"}
BANNED_NAMES = {"found", "told", "said", "shown"}
LONGEST = 300
_HEAVY = {"torch", "onnx", "onnxruntime", "pandas"}
LONGER_FILES = {
    "benchmarks/recipe_search/trainer.py": "one training step, captured and eager, whose parts share all state",
    "cpp_bindings/python/module.cpp": "the Python module in one place: conversions, errors, and all that it binds",
}


class Module(NamedTuple):
    """A Python file of the package."""

    name: str
    file: Path
    tree: ast.Module

    def imports(self) -> Iterator[str]:
        """The names of all modules that it imports anywhere, also inside functions; not for types alone."""
        for_types = {
            id(node)
            for test in ast.walk(self.tree)
            if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
            for node in ast.walk(test)
        }
        for node in ast.walk(self.tree):
            if id(node) in for_types:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.file}: {node.lineno}: imports are absolute"
                assert node.module
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                yield from (name if name in _names() else node.module for name in names)


@cache
def _files() -> dict[str, Path]:
    files = {}
    for prefix, folder in [
        ("dpiqa", PACKAGE),
        *((f"dpiqa.{name}", ROOT / name) for name in ("runtime", "train", "export")),
    ]:
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            files[".".join([prefix, *(part for part in parts if part != "__init__")])] = file
    return files


def _names() -> set[str]:
    return set(_files())


@cache
def modules() -> dict[str, Module]:
    """All modules of the package by name."""
    return {name: Module(name, file, ast.parse(file.read_text())) for name, file in _files().items()}


@cache
def arrows() -> dict[str, set[str]]:
    """Which modules of the package each module imports."""
    return {
        name: {one for one in module.imports() if one in modules() and one != name}
        for name, module in modules().items()
    }


def _place(name: str, order: tuple[str, ...], prefix: str = "") -> int | None:
    """Where a module stands in an order of names, None for one that is in none of them."""
    return next((place for place, part in enumerate(order) if f"{name}.".startswith(f"{prefix}{part}.")), None)


def test_a_floor_imports_only_what_is_below_it() -> None:
    upwards = [
        f"{name} -> {other}"
        for name, others in arrows().items()
        for other in others
        if (here := _place(name, FLOORS)) is not None and (there := _place(other, FLOORS)) is not None and there > here
    ]
    assert upwards == []


@pytest.mark.parametrize("floor", WINGS)
def test_a_wing_imports_only_what_is_below_it(floor: str) -> None:
    prefix, on_top = f"{floor}.", len(WINGS[floor])

    def height(name: str) -> int:
        place = _place(name, WINGS[floor], prefix)
        return on_top if place is None else place

    upwards = [
        f"{name} -> {other}"
        for name, others in arrows().items()
        for other in others
        if name.startswith(prefix) and other.startswith(prefix) and height(other) > height(name)
    ]
    assert upwards == []


def test_imports_make_no_circle() -> None:
    tuple(TopologicalSorter(arrows()).static_order())  # raises CycleError that names one


def test_the_runtime_needs_none_of_the_training_packages() -> None:
    used = {
        f"{name} -> {one}"
        for name, module in modules().items()
        if name.startswith("dpiqa.runtime")
        for one in module.imports()
        if one.partition(".")[0] in NEVER_IN_RUNTIME
    }
    assert used == set()


def test_a_command_is_imported_by_nobody() -> None:
    commands = {
        name
        for name, module in modules().items()
        if re.fullmatch(r"dpiqa\.(train|export)\.\w+", name)
        and any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.tree.body)
    }
    listed = {f"dpiqa.train.{verb}" for verb in TRAIN_VERBS} | {f"dpiqa.export.{verb}" for verb in EXPORT_VERBS}
    assert commands == {name.replace("-", "_") for name in listed}
    imported = {f"{name} -> {other}" for name, others in arrows().items() for other in others & commands}
    assert imported == set()


def _identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def test_names_say_what_is_held() -> None:
    files = [*_files().values(), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    banned = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for name, line in _identifiers(ast.parse(file.read_text()))
        if name.strip("_") in BANNED_NAMES
    ]
    assert banned == []


def test_files_are_short() -> None:
    folders = ("runtime", "train", "export", "cpp_bindings", "benchmarks", "examples")
    kinds = {".py", ".cpp", ".hpp", ".h", ".cu"}
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in kinds]
    longer = {str(file.relative_to(ROOT)) for file in files if len(file.read_text().splitlines()) > LONGEST}
    assert longer == set(LONGER_FILES)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        *(["train", verb, "--help"] for verb in TRAIN_VERBS),
        *(["export", verb, "--help"] for verb in EXPORT_VERBS),
    ],
    ids=" ".join,
)
def test_help_comes_at_once_with_an_example(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom dpiqa.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print(time.process_time(), *sorted({_HEAVY} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    *help_lines, last = ended.stdout.splitlines()
    seconds, *heavy = last.split()
    assert heavy == []
    assert float(seconds) < 1
    assert len(command) == 1 or any(f"dpiqa {command[0]} {command[1]} " in line for line in help_lines)


def test_a_users_own_files_shadow_nothing(tmp_path: Path) -> None:
    for name in ("train", "export", "runtime", "score", "errors", "cli"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    for command in (
        ["-m", "dpiqa", "--version"],
        ["-m", "dpiqa", "train", "student", "--help"],
        ["-m", "dpiqa", "export", "trt", "--help"],
        ["-c", "from dpiqa import Reading, Scorer, Summary"],
    ):
        ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, ""), command


@pytest.mark.parametrize("folder", [ROOT, None], ids=["in a clone", "elsewhere"])
def test_the_modules_of_old_still_run(folder: Path | None, tmp_path: Path) -> None:
    for module in ("export.trt", "train.student"):
        command = [sys.executable, "-m", module, "--help"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=folder or tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_completion_is_offered() -> None:
    environment = os.environ | {"_DPIQA_COMPLETE": "complete_bash", "COMP_WORDS": "dpiqa export ", "COMP_CWORD": "2"}
    ended = subprocess.run([sys.executable, "-m", "dpiqa"], capture_output=True, text=True, env=environment)
    assert set(EXPORT_VERBS) <= set(ended.stdout.split())
