"""`activation watch`: what happens, live."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from app.cli.destinations_argument import DESTINATION
from app.cli.report import out, resources
from app.cli.tables import table_of
from app.destinations.state import UNREADABLE
from app.devstack.signals import until_told_to_stop
from app.errors import SealBroken, UnknownDestination
from app.reporting.alerts import read_open
from app.reporting.histograms import Timed, read_histogram
from app.reporting.processes import read_processes
from app.reporting.runs import read_backlog
from app.reporting.totals import read_totals
from app.reporting.waiting import oldest_waiting_age_seconds
from app.resources import Resources

COLUMNS = ("destination", "state", "live", "backfill", "parked", "oldest", "done/s", "failed/s", "calls/s", "p95")


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one destination. `counts` only grow; `at` is from time.monotonic()."""

    at: float
    counts: Mapping[str, int]
    state: str
    live: int
    backfill: int
    parked: int
    oldest_seconds: float | None


@click.command()
@click.argument("destination", required=False, type=DESTINATION)
@click.option(
    "--every", default=2.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds between updates."
)
@click.option("--times", default=0, type=click.IntRange(0), help="End after this many updates; 0 goes on until Ctrl-C.")
def watch(destination: str | None, every: float, times: int) -> None:
    """Show live what comes in, waits and goes out, for DESTINATION or for all; rates are since the previous look."""
    with resources() as made, until_told_to_stop() as told:
        if destination is not None:
            made.destinations.get(destination)
        before: dict[str, Look] = {}
        looks = 0
        live = Live(console=out, auto_refresh=False) if out.is_terminal else None
        if live is not None:
            live.start()
        try:
            while not told:
                names = [destination] if destination else made.destinations.ids()
                now = {name: look for name in names if (look := _look(made, name)) is not None}
                rows = [row_of(name, look, before.get(name)) for name, look in now.items()]
                if live is not None:
                    live.update(Group(table_of("", COLUMNS, rows, out.width), _footer(made)), refresh=True)
                elif before:
                    for row in rows:
                        click.echo("  ".join(map(str, row)))
                elif rows:
                    click.echo("  ".join(COLUMNS))
                before, looks = now, looks + 1
                if times and looks > times:
                    break
                until = time.monotonic() + every
                while not told and time.monotonic() < until:
                    time.sleep(0.05)
        finally:
            if live is not None:
                live.stop()


def _look(made: Resources, name: str) -> Look | None:
    try:
        made.destinations.about(name)
    except UnknownDestination:
        return None
    waiting = read_backlog(made.redis, name)
    return Look(
        at=time.monotonic(),
        counts=read_totals(made.redis, name, made.clock.now_ms()),
        state=_status(made, name),
        live=waiting.live,
        backfill=waiting.backfill,
        parked=waiting.parked,
        oldest_seconds=oldest_waiting_age_seconds(made.redis, name).live,
    )


def _status(made: Resources, name: str) -> str:
    try:
        made.destinations.get(name)
    except (SealBroken, UnknownDestination):
        return UNREADABLE
    return str(made.states.status(name))


def row_of(name: str, now: Look, before: Look | None) -> tuple[str | int, ...]:
    """Return one row; rates need a previous look. `done` counts all outcomes except failures. Pure."""
    seconds = now.at - before.at if before else 0.0
    grown = {field: count - (before.counts.get(field, 0) if before else 0) for field, count in now.counts.items()}

    def rate(*fields: str) -> str:
        return f"{sum(grown.get(field, 0) for field in fields) / seconds:.1f}" if seconds else "-"

    p95 = read_histogram(Timed.CALL, grown).quantile(0.95) if seconds else None
    return (
        name,
        now.state,
        now.live,
        now.backfill,
        now.parked,
        "-" if now.oldest_seconds is None else span(now.oldest_seconds),
        rate("delivered", "unchanged", "superseded", "excluded"),
        rate("failed"),
        rate("calls"),
        "-" if p95 is None else f"{p95 * 1000:.0f}ms",
    )


def span(seconds: float) -> str:
    """Return a length of time in few characters."""
    for most, unit, size in ((120, "s", 1), (7_200, "m", 60), (172_800, "h", 3_600)):
        if seconds < most:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def _footer(made: Resources) -> Text:
    now_ms = made.clock.now_ms()
    alive = sum(process.is_alive(now_ms) for process in read_processes(made.redis))
    alerts = ", ".join(sorted({item.alert.kind for item in read_open(made.redis).values()}))
    return Text(f"{alive} worker processes alive. Open alerts: {alerts or 'none'}. Ctrl-C ends this.")
