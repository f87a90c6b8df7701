"""The type of options that take an RFC 3339 time, such as `--since`."""

from __future__ import annotations

from typing import Any

import click

from app.errors import UsageError
from app.moments import parse_time


class Time(click.ParamType[int]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002  # click's interface
        """Convert an option's text to epoch milliseconds. Raises: `UsageError`."""
        try:
            return parse_time(value)
        except ValueError as error:
            option = f"{param.opts[0]}: " if param is not None else ""
            raise UsageError(f"{option}{error}.", remedy="Write it like 2026-11-22T10:00:00Z.") from error


TIME = Time()
