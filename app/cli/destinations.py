"""Connects destinations and looks after them."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.cli.destinations_argument import DESTINATION
from app.cli.fields import print_problems
from app.cli.files import standard_input
from app.cli.report import (
    asked_to_wait,
    confirm,
    err,
    json_option,
    moment,
    note,
    out,
    print_json,
    print_table,
    resources,
)
from app.destinations import operating
from app.destinations.changes import changes, is_elsewhere, warnings
from app.destinations.file import load
from app.destinations.model import Destination
from app.durability import find_storage_problems
from app.errors import SealBroken, UnknownDestination, UsageError, WorkHasProblems
from app.mapping.problems import Problem
from app.reporting.destinations import describe_segments, glance
from app.reporting.losses import find_losses
from app.reporting.quota import MORE_CALLS
from app.resources import Resources

MOST_BYTES = 1_000_000  # of a destination file; a thousand segments take a tenth of it


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--limits-of-account", is_flag=True, help="Give the limits in FILE to every destination of the account.")
@click.option("--yes", is_flag=True, help="Do not ask before what was delivered to another account is forgotten.")
@json_option
def connect(file: Path, limits_of_account: bool, yes: bool, as_json: bool) -> None:
    """Create or replace a destination from a YAML FILE (- for standard input), after a live test of its credentials."""
    text = _read(file)
    with resources(begin=True) as made:
        local = made.settings.local_hosts
        destination = load(
            text,
            environ=os.environ,
            allow_local_hosts=local is not None,
            where="standard input" if str(file) == "-" else str(file),
            local_names=local or frozenset(),
            connected=partial(_former, made),
        )
        former = _former(made, destination.id)
        # scripts are warned like everybody else, and go on
        if former is not None and is_elsewhere(former, destination) and sys.stdin and sys.stdin.isatty() and not yes:
            _confirm_move(made, destination.id)
        connection = operating.connect(made, destination, limits_of_account=limits_of_account)
        problems = [*connection.problems, *find_storage_problems(made.redis)]
        if connection.connected:
            note(made, "connect", destination.id, detail=f"version {destination.version}")
    if as_json:
        print_json(_as_document(destination, former, connection, problems))
        if not connection.connected:
            raise click.exceptions.Exit(1)
        return
    print_problems(problems)
    if not connection.connected:
        raise WorkHasProblems(f"{destination.id} is not connected.", remedy="Fix what is listed and connect again.")
    for name in connection.given_limits:
        out.print(f"{name} has the same limits now.", markup=False)
    if former is not None:
        _print_changes(former, destination)
    out.print("[green]✔[/] Connected")
    if connection.resumed is not None:
        out.print(f"{destination.id} was {connection.resumed.status}; its backlog is tried again at once.")


def _as_document(
    destination: Destination, former: Destination | None, connection: operating.Connection, problems: list[Problem]
) -> dict[str, Any]:
    replaced = former if connection.connected else None
    return {
        "id": destination.id,
        "connected": connection.connected,
        "problems": [asdict(item) for item in problems],
        "replaced": replaced is not None,
        "changes": [] if replaced is None else [line.strip() for line in changes(replaced, destination)],
        "warnings": [] if replaced is None else warnings(replaced, destination),
        "given_limits": list(connection.given_limits),
        "resumed": connection.resumed is not None,
    }


def _read(file: Path) -> str:
    """Return the text of a destination file. Raises: `UsageError`."""
    reason = ""
    try:
        if str(file) == "-":
            raw = standard_input().read(MOST_BYTES + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(MOST_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        reason = str(error.strerror)
    except ValueError:  # for the text, or for an impossible file name
        reason = "it is not UTF-8 text"
    else:
        if len(raw) > MOST_BYTES:
            reason = f"it holds more than {MOST_BYTES:,} bytes"
    if reason:
        raise UsageError(f"{file} cannot be read: {reason}.", remedy="Name a YAML file that describes a destination.")
    return text


def _former(made: Resources, name: str) -> Destination | None:
    """Return the destination being replaced, if there is one and a key opens it."""
    try:
        return made.destinations.get(name)
    except UnknownDestination:
        return None
    except SealBroken:
        err.print(f"{name} is replaced; what it was cannot be compared, since no key opens it.", markup=False)
        return None


def _print_changes(former: Destination, destination: Destination) -> None:
    out.print(f"{destination.id} is replaced:", markup=False)
    for line in changes(former, destination):
        out.print(f"  {line}", markup=False)
    for text in warnings(former, destination):
        err.print(f"warning: {text}", markup=False)


def _confirm_move(made: Resources, name: str) -> None:
    if contacts := made.destinations.count_delivered(name):
        confirm(
            f"The file names another account or business unit than the one that {name} was connected to: what was delivered to "
            f"{contacts:,} contacts is forgotten, and sent anew as their profiles come. Go on?"
        )


@click.command()
@json_option
def destinations(as_json: bool) -> None:
    """List the connected destinations: state, backlog, calls this year, and what stopped one."""
    with resources() as made:
        rows = [_describe(made, name) for name in made.destinations.ids()]
    if as_json:
        print_json(rows)
        return
    print_table(
        "",
        ["id", "name", "state", "since", "waiting", "failed", "calls/min", "calls", "of"],
        [
            (
                row["id"],
                row["name"],
                row["state"],
                moment(row["since_ms"]),
                row["waiting"],
                row["failures"],
                _pace(row["pace"]),
                row["calls_this_year"],
                row["calls_per_year"],
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["code"]:
            out.print(f"{row['id']}: {row['text']} ({row['code']}) {row['remedy']}", markup=False)
        if row["standstill"]:
            out.print(f"{row['id']}: {row['standstill']} {MORE_CALLS}", markup=False)
        if row["throttled_seconds"]:
            out.print(asked_to_wait(row["id"], row["throttled_seconds"]), markup=False)
        if row["catalog_failure"]:
            out.print(f"{row['id']}: the cached fields are old: {row['catalog_failure']}", markup=False)


def _pace(pace: dict[str, Any] | None) -> str:
    """Show calls a minute: recently accepted, of those the account was found to allow, of those configured."""
    if pace is None:
        return "-"
    learned = f" of {pace['learned_per_minute']:,.0f} learned" if pace["why"] != "configured" else ""
    return f"{pace['used_per_minute']:,.0f}{learned} of {pace['allowed_per_minute']:,}"


def _describe(made: Resources, name: str) -> dict[str, Any]:
    """Describe a destination; one that cannot be opened, or is being disconnected, is listed and says so."""
    item = glance(made, name, hours=0)
    known, state = item.destination, item.state
    return {
        "id": name,
        "name": "" if known is None else known.name,
        "description": "" if known is None else known.description,
        "account": "" if known is None else known.account.key,
        "state": item.status,
        "since_ms": state.since_ms,
        "code": item.problem_code or state.code,
        "text": item.problem or state.text,
        "remedy": item.remedy or state.remedy,
        "failed_probes": state.tries,
        "next_probe_ms": state.next_probe_ms,
        "throttled_seconds": item.throttled_seconds,
        "pace": None if item.pace is None else asdict(item.pace),
        "waiting": item.waiting.total,
        "failures": item.failures,
        "calls_this_year": item.quota.used,
        "calls_per_year": item.quota.allowed,
        "calls_forecast": item.quota.forecast,
        "standstill": item.quota.standstill,
        "segments": [] if known is None else describe_segments(known),
        "catalog_failure": item.catalog_failure,
    }


@click.command()
@click.argument("destination", type=DESTINATION)
def pause(destination: str) -> None:
    """Stop delivering to DESTINATION; profiles are still accepted and wait."""
    with resources() as made:
        operating.pause(made, destination)
        note(made, "pause", destination)
    out.print(f"{destination} is paused; `activation resume {destination}` goes on.", markup=False)


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option(
    "--set-locked-aside", is_flag=True, help="Turn what waits and no key opens into failures (`seal_broken`)."
)
def resume(destination: str, set_locked_aside: bool) -> None:
    """Deliver to DESTINATION again: end a pause, or probe a stopped destination at once."""
    with resources() as made:
        state = operating.resume(made, destination, set_locked_aside=set_locked_aside)
        note(made, "resume", destination, detail="what no key opens is set aside" if set_locked_aside else "")
    probing = " (one call goes ahead; delivery goes on when it succeeds)" if state.on_probation else ""
    out.print(f"{destination} is {state.status}{probing}.", markup=False)


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--yes", is_flag=True, help="Do not ask.")
def disconnect(destination: str, yes: bool) -> None:
    """Remove DESTINATION with its backlog, failures and delivered state. Contacts in Marketing Cloud stay."""
    with resources() as made:
        lost = find_losses(made, destination)
        if not yes and lost.total:
            confirm(
                f"{lost.waiting:,} waiting and {lost.failed:,} failed profiles of {destination} will be lost. Go on?"
            )
        made.destinations.remove(destination)
        note(made, "disconnect", destination, detail=str(lost))
    out.print(f"{destination} is disconnected.", markup=False)


@click.command()
@click.argument("destination", type=DESTINATION)
def forget(destination: str) -> None:
    """Forget what was delivered to DESTINATION, if others have changed contacts there: every value is then sent again."""
    with resources() as made:
        contacts = made.destinations.forget_delivered(destination)
        note(made, "forget", destination, detail=f"{contacts} contacts")
    out.print(f"What was delivered to {contacts:,} contacts of {destination} is forgotten.", markup=False)
