"""Reading the YAML file of a monitor: secrets from elsewhere, errors by file, line and field."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dpiqa.errors import InputError, unreadable
from dpiqa.runtime.monitor.settings.cameras import MonitorConfig

Place = tuple[str | int, ...]
# Pydantic's words for people who write Python, said again for people who write YAML.
_PLAIN = {"extra_forbidden": "there is no such field", "missing": "is missing", "tuple_type": "expected a list"}
_REFERENCE = re.compile(r"\$\{(file:)?([^}]+)\}")


def load_config(path: str | Path) -> MonitorConfig:
    """Read and check a configuration.

    In any text, `${NAME}` stands for an environment variable and `${file:PATH}` for the content of a file, without
    white space around it. Raises InputError that names the file, the line and the field, and shows no value.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text in UTF-8") from None
    return _File(path).read(text)


class _File:
    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._lines: dict[Place, int] = {}

    def read(self, text: str) -> MonitorConfig:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            if root is not None:
                self._find_lines(root, ())
            document = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise InputError(f"{self._path}:{line}: not YAML: {error.problem}") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise InputError(f"{self._path}: not YAML: {str(error).splitlines()[0]}") from None
        if not isinstance(document, dict):
            found = "nothing" if document is None else type(document).__name__
            raise InputError(f"{self._path}: expected fields such as 'cameras:', found {found}")
        try:
            return MonitorConfig.model_validate(self._with_secrets(document, ()))
        except ValidationError as error:
            first, *more = error.errors(include_input=False, include_url=False)
            rest = f" (and {len(more)} more)" if more else ""
            problem = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
            raise self._error(first["loc"], problem + rest) from None

    def _error(self, place: Place, problem: str) -> InputError:
        known = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in self._lines), ())
        field = ".".join(map(str, place))
        return InputError(f"{self._path}:{self._lines.get(known, 1)}: {field}{': ' if field else ''}{problem}")

    def _find_lines(self, node: yaml.Node, place: Place) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._find_lines(item, (*place, number))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                if inner in self._lines:
                    raise yaml.MarkedYAMLError(problem=f"'{key.value}' is there twice", problem_mark=key.start_mark)
                self._lines[inner] = key.start_mark.line + 1
                self._find_lines(value, inner)

    def _with_secrets(self, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: self._with_secrets(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self._with_secrets(item, (*place, number)) for number, item in enumerate(value)]
        return _REFERENCE.sub(lambda found: self._secret(found, place), value) if isinstance(value, str) else value

    def _secret(self, found: re.Match[str], place: Place) -> str:
        is_file, name = found.groups()
        if not is_file:
            if name not in os.environ:
                raise self._error(place, f"the environment has no variable {name}")
            return os.environ[name]
        try:
            return Path(name).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(place, f"{name}: {getattr(error, 'strerror', None) or 'not a text in UTF-8'}") from None
