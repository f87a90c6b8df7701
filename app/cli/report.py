"""How commands report: tables for people, one JSON document for programs, complaints on the error stream."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import orjson
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rich.console import Console
from rich.markup import escape

from app import moments
from app.cli.tables import plain_lines, table_of
from app.cli.visible import visible, visible_json
from app.devstack.home import Home
from app.devstack.private_redis import with_redis
from app.errors import WorkHasProblems
from app.reporting.audit import Act, note_act
from app.resources import Resources, connect
from app.settings import Settings
from app.storage import explain

ANSWER_SECONDS = 5.0  # for Redis's first answer; later ones may take long computations


class Speaker(Console):
    """A console on which printed text cannot control the terminal: see `visible`."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print like rich; tables have already made their cells visible."""
        super().print(*(visible(one) if isinstance(one, str) else one for one in objects), **how)


out = Speaker(highlight=False, soft_wrap=True)
err = Speaker(stderr=True, highlight=False, soft_wrap=True)

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def complain(text: str, remedy: str = "", problems: Iterable[str] = ()) -> None:
    err.print(f"[bold red]Error:[/] {escape(text)}")
    for problem in problems:
        err.print(f"  - {escape(problem)}")
    if remedy:
        err.print(escape(remedy))


def asked_to_wait(destination_id: str, seconds: float) -> str:
    return (
        f"{destination_id}: its account asks to wait another {seconds:,.0f} s; "
        f"`activation resume {destination_id}` does not wait."
    )


def check_none_is_locked(names: Sequence[str]) -> None:
    """Raise `WorkHasProblems` if there are records that no key opens. `names`: theirs."""
    if names:
        raise WorkHasProblems(
            f"No key of ACTIVATION_SECRET_KEYS opens what is kept of {', '.join(names)}.",
            remedy="Add the key it was sealed with to the end of ACTIVATION_SECRET_KEYS, or make it anew.",
        )


def print_json(document: Any) -> None:
    """Print a document, with times as in `with_times`."""
    click.echo(visible_json(orjson.dumps(with_times(document), option=orjson.OPT_INDENT_2).decode()))


def print_done(text: str, document: Any, *, as_json: bool) -> None:
    """Report what was done, in a sentence or for programs."""
    if as_json:
        print_json(document)
    else:
        out.print(text, markup=False)


# members with names from outside: profiles, what Marketing Cloud holds or is sent, counts by field, segment or reason
NAMED_BY_OTHERS = ("profile", "account", "body", "answers", "left_out", "matched", "outcomes", "reasons", "segments")


def with_times(value: Any) -> Any:
    """Return a document for programs, with times as RFC 3339 text.

    Our members named `…_ms` that are times lose that ending; null stands for no time. Members named by others stay
    unchanged.
    """
    if isinstance(value, dict):
        made = {}
        for name, item in value.items():
            if _is_time(name, item):
                made[name.removesuffix("_ms")] = rfc3339(item)
            else:
                made[name] = item if name in NAMED_BY_OTHERS else with_times(item)
        return made
    return [with_times(item) for item in value] if isinstance(value, list | tuple) else value


def _is_time(name: Any, value: Any) -> bool:
    return isinstance(name, str) and name.endswith("_ms") and isinstance(value, int)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows without interpreting markup: on a terminal as they fit, else plain, one row per line."""
    kept = [list(row) for row in rows]
    if out.is_terminal:
        out.print(table_of(title, columns, kept, out.width), soft_wrap=False, crop=False)
    else:
        for line in plain_lines(title, columns, kept):
            click.echo(line)


@contextmanager
def resources(*, begin: bool = False) -> Iterator[Resources]:
    """Yield everything a command works with, using the home's private Redis if none is named.

    `begin`: create an installation if there is none yet, and say so.
    """
    settings = Settings.from_env()
    if begin and not settings.redis_url and not Home(settings.home).exists:
        Home(settings.home).create()
        err.print(f"A new installation begins in {settings.home.resolve()}", markup=False)
    with with_redis(settings) as settings:
        with connect(settings.redis_url, answer_seconds=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)) as redis:
            redis.ping()
        made = Resources.from_settings(settings)
        try:
            yield made
        finally:
            made.redis.close()


def note(made: Resources, what: str, destination: str = "", *, detail: str = "") -> None:
    """Record in the audit what was done. A failure to do so is reported, but undoes nothing."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        who = str(os.getuid())
    try:
        note_act(made.redis, made.ring, Act(f"command line ({who})", what, destination, detail))
    except RedisError as error:
        err.print(f"It is done, but not in the audit: {explain(error)}", markup=False)


def confirm(question: str) -> None:
    """Ask before something is lost. Raises: `WorkHasProblems` unless the answer is yes, and if nobody is there to answer."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise WorkHasProblems("Nothing was changed.", remedy="With --yes it is done without asking.")


def rfc3339(epoch_ms: int) -> str | None:
    """Return a time for programs, in UTC; None for none."""
    return moments.rfc3339(epoch_ms) if epoch_ms else None


def moment(epoch_ms: int) -> str:
    """Return a time for people, in UTC; a dash for none."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if epoch_ms else "-"
