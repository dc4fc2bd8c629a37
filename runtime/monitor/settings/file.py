"""Reads a monitor's YAML file: secrets from elsewhere, errors by file, line and field."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dpiqa.errors import InputError, system_reason, unreadable
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings

Place = tuple[str | int, ...]
# Pydantic's messages address Python programmers; these address people who write YAML.
_YAML_MESSAGES = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "tuple_type": "expected a list",
    "model_type": "expected fields such as 'name: value'",
    "path_type": "expected a path",
}
_MOST_NODES, _DEEPEST = 100_000, 20
_REFERENCE = re.compile(r"\$\{(file:)?([^}]+)\}")


def load_settings(path: str | Path) -> MonitorSettings:
    """Read and check a YAML file.

    In any text, `${NAME}` stands for an environment variable and `${file:PATH}` for the content of a file, stripped of
    surrounding white space. Raises InputError with the file, line and field, but no value.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None
    return _File(path).read(text)


def settings_schema() -> dict[str, Any]:
    """The JSON schema of the settings file, in which a sink may also be one string."""
    schema = MonitorSettings.model_json_schema()
    for section in schema["$defs"]["SinkSettings"]["properties"].values():
        for options in (section.get("anyOf"), section.get("items", {}).get("anyOf")):
            if options is not None:
                options.append({"type": "string"})
    webhooks = schema["$defs"]["SinkSettings"]["properties"]["webhooks"]
    webhooks["items"] = {"anyOf": [webhooks["items"], {"type": "string"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dpiqa monitor", **schema}


class _File:
    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._lines: dict[Place, int] = {}
        self._visited = 0  # aliases are visited each time

    def read(self, text: str) -> MonitorSettings:
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
            actual = "nothing" if document is None else type(document).__name__
            raise InputError(f"{self._path}: expected fields such as 'cameras:', found {actual}")
        try:
            return MonitorSettings.model_validate(self._with_secrets(document, ()))
        except ValidationError as error:
            errors = error.errors(include_input=False, include_url=False)
            # A misspelt field is also one that is missing.
            first, *more = sorted(errors, key=lambda one: one["type"] != "extra_forbidden")
            rest = f" (and {len(more)} more)" if more else ""
            problem = _YAML_MESSAGES.get(first["type"], first["msg"].removeprefix("Value error, "))
            if first["type"] == "extra_forbidden":
                problem += _suggestion(first["loc"])
            raise self._error(first["loc"], problem + rest) from None

    def _error(self, place: Place, problem: str) -> InputError:
        nearest = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in self._lines), ())
        field = ".".join(map(str, place))
        return InputError(f"{self._path}:{self._lines.get(nearest, 1)}: {field}{': ' if field else ''}{problem}")

    def _find_lines(self, node: yaml.Node, place: Place) -> None:
        self._visited += 1
        if self._visited > _MOST_NODES or len(place) > _DEEPEST:
            raise yaml.MarkedYAMLError(problem="too many or too deeply nested values", problem_mark=node.start_mark)
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._find_lines(item, (*place, number))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                if inner in self._lines:
                    raise yaml.MarkedYAMLError(problem=f"'{key.value}' appears twice", problem_mark=key.start_mark)
                self._lines[inner] = key.start_mark.line + 1
                self._find_lines(value, inner)

    def _with_secrets(self, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: self._with_secrets(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self._with_secrets(item, (*place, number)) for number, item in enumerate(value)]
        return _REFERENCE.sub(lambda match: self._secret(match, place), value) if isinstance(value, str) else value

    def _secret(self, match: re.Match[str], place: Place) -> str:
        is_file, name = match.groups()
        if not is_file:
            if name not in os.environ:
                raise self._error(place, f"the environment variable {name} is not set")
            return os.environ[name]
        try:
            return Path(name).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(place, f"{name}: {system_reason(error)}") from None


def _suggestion(place: Place) -> str:
    """The field of that section with the nearest name, as the end of a sentence."""
    section: Any = MonitorSettings
    for part in place[:-1]:
        if isinstance(part, str):
            section = _section(section.model_fields[part].annotation)
    near = get_close_matches(str(place[-1]), section.model_fields, 1)
    return f", did you mean '{near[0]}'?" if near else ""


def _section(annotation: Any) -> Any:
    """The settings class in an annotation such as `tuple[CameraSettings, ...]` or `CameraSettings | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for one in get_args(annotation) if (inner := _section(one)) is not None), None)
