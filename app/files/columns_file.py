"""The file that says which column goes where: YAML, `column: XDM path` or `column: {path: XDM path, type: number}`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from marshmallow import Schema, ValidationError, fields, post_load, validate

from app.errors import UsageError
from app.files.columns import Column, Type

REMEDY = "Write `column: XDM path`, or `column: {path: XDM path, type: text|number|boolean|json}`, one on each line."
MOST_BYTES = 1_000_000


class _ColumnSchema(Schema):
    path = fields.String(
        required=True, validate=validate.Length(min=1), error_messages={"invalid": "must be text; put it in quotes."}
    )
    type = fields.Enum(Type, by_value=True, load_default=Type.TEXT)

    @post_load
    def made(self, data: dict[str, Any], **_: object) -> Column:
        return Column(**data)


class _Loader(yaml.SafeLoader):
    """Safe YAML that notes duplicate names, of which the last one would win."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                first = lines.get((key.tag, key.value))
                if first is not None:
                    self.twice.append(f"line {line}: {key.value!r} is given twice, first in line {first}. Remove one.")
                lines.setdefault((key.tag, key.value), line)
        return node


def read_columns(path: str) -> dict[str, Column]:
    """Return where each column goes, by name. Raises: `UsageError` with every problem, quoting no value."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path} is longer than {MOST_BYTES:,} bytes.", remedy=REMEDY)
        raw, twice = _read_yaml(content.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    # also for an impossible date, and for endless brackets
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid YAML.", remedy=REMEDY) from error
    if not isinstance(raw, Mapping) or not raw:
        raise UsageError(f"{path} names no columns.", remedy=REMEDY)
    columns: dict[str, Column] = {}
    problems = twice
    for name, value in raw.items():
        if not isinstance(name, str):
            problems.append(f"{name}: the name of a column must be text; put it in quotes.")
            continue
        try:
            columns[name] = _ColumnSchema().load(value if isinstance(value, Mapping) else {"path": value})
        except ValidationError as error:
            problems += [f"{name}: {field}: {' '.join(map(str, found))}" for field, found in _each(error.messages)]
    if problems:
        raise UsageError(f"{path} has problems.", remedy=REMEDY, problems=tuple(problems))
    return columns


def _read_yaml(text: str) -> tuple[Any, list[str]]:
    loader = _Loader(text)
    try:
        return loader.get_single_data(), loader.twice
    finally:
        loader.dispose()


def _each(messages: Any) -> list[tuple[str, list[Any]]]:
    return [(str(field), found if isinstance(found, list) else [found]) for field, found in messages.items()]
