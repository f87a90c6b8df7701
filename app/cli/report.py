"""How commands speak: tables for people, one JSON document for programs, complaints on the error stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.devstack.home import Home
from app.devstack.private_redis import with_redis
from app.errors import WorkHasProblems
from app.resources import Resources
from app.settings import Settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def complain(text: str, remedy: str = "", problems: Iterable[str] = ()) -> None:
    err.print(f"[bold red]Error:[/] {escape(text)}")
    for problem in problems:
        err.print(f"  - {escape(problem)}")
    if remedy:
        err.print(escape(remedy))


def print_json(document: Any) -> None:
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Numbers are set right, the rest left; nothing of a row is read as markup."""
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold")
    kept = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(kept) and all(isinstance(row[number], int | float) for row in kept)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(escape(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    out.print(table)


@contextmanager
def resources(*, begin: bool = False) -> Iterator[Resources]:
    """Everything a command works with; with the private Redis of the home if none is named.

    `begin`: where there is no installation yet, one is begun, and said.
    """
    settings = Settings.from_env()
    if begin and not settings.redis_url and not Home(settings.home).exists:
        Home(settings.home).create()
        err.print(f"A new installation begins in {settings.home.resolve()}", markup=False)
    with with_redis(settings) as settings:
        made = Resources.from_settings(settings)
        try:
            yield made
        finally:
            made.redis.close()


def confirm(question: str) -> None:
    """Ask before something is lost. Raises `WorkHasProblems` unless the answer is yes, also when nobody is there to answer."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise WorkHasProblems("Nothing was removed.", remedy="With --yes it is done without asking.")


def rfc3339(epoch_ms: int) -> str | None:
    """A time for programs, in UTC; None for none."""
    if not epoch_ms:
        return None
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(epoch_ms: int) -> str:
    """A time for people, in UTC; a dash for none."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if epoch_ms else "-"
