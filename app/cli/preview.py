"""Shows what would be sent, before anything is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click
import orjson

from app.cli.destinations_argument import DESTINATION
from app.cli.enqueue import leads_to_contact, warn_of_unread
from app.cli.files import standard_input
from app.cli.report import err, json_option, moment, out, print_json, print_table, resources
from app.cli.time_option import TIME
from app.files.columns_file import read_columns
from app.files.reading import Files
from app.files.records import Record
from app.mapping.update import Excluded
from app.reporting.histograms import most_frequent
from app.reporting.preview import (
    SHOWN,
    Preview,
    PreviewedCall,
    PreviewedProfile,
    PreviewedValue,
    preview_as_json,
    preview_profiles,
)

_SAID = {
    "sent": "sent",
    "along": "unchanged, goes along",
    "unchanged": "unchanged, not sent",
    "older": "older than what was delivered, not sent",
    "superseded": "another profile here is newer, not sent",
}


@click.command()
@click.argument("destination", type=DESTINATION)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--columns", metavar="FILE", help="As for enqueue.")
@click.option("--backfill", is_flag=True, help="As for enqueue.")
@click.option("--force", is_flag=True, help="As for enqueue.")
@click.option("--occurred-at", type=TIME, metavar="TIME", help="As for enqueue.")
@click.option("--reveal", is_flag=True, help="Show contact keys and values in clear.")
@click.option("--shown", default=SHOWN, show_default=True, type=click.IntRange(0), help="Profiles to show one by one.")
@json_option
def preview(
    destination: str,
    files: tuple[str, ...],
    columns: str | None,
    backfill: bool,
    force: bool,
    occurred_at: int | None,
    reveal: bool,
    shown: int,
    as_json: bool,
) -> None:
    """Show what enqueueing FILEs (- for standard input) to DESTINATION would send, and change nothing.

    For each profile: its contact, each value with its source, what is left out and why, and the call; then the totals.
    Files are read as enqueue reads them.
    """
    given = None if columns is None else read_columns(columns)
    with resources() as made:
        target = made.destinations.get(destination)
        read = Files(files, standard_input, given=given, leads_to_contact=leads_to_contact(target))
        warn_of_unread(read, target)
        found = preview_profiles(
            made,
            destination,
            _profiles(read.records()),
            reveal=reveal,
            occurred_at_ms=occurred_at,
            backfill=backfill,
            force=force,
            shown=shown,
        )
    if as_json:
        print_json(preview_as_json(found))
        return
    calls = {call.number: call for call in found.calls}
    for profile in found.profiles:
        _print_profile(profile, None if profile.call is None else calls.get(profile.call), reveal=reveal)
    _print_totals(found)


def _profiles(records: Iterable[Record]) -> Iterator[Any]:
    for record in records:
        yield record.profile if record.reason is None else Excluded(record.reason, record.found)


def _print_profile(profile: PreviewedProfile, call: PreviewedCall | None, *, reveal: bool) -> None:
    contact = f" of {profile.contact}" if profile.contact else ""
    why = f": {profile.reason} {profile.detail}".rstrip() if profile.reason else ""
    out.print(f"Profile {profile.number}{contact}: {profile.outcome}{why}", markup=False)
    for value in profile.values:
        out.print(
            f"  {value.attribute} = {_shown(value, reveal)}  from {_origin(value)}  "
            f"as of {moment(value.version_ms)}  {_SAID[value.verdict]}",
            markup=False,
        )
    for left_out in profile.left_out:
        out.print(f"  left out: {left_out}", markup=False)
    if call is not None and call.profiles[0] == profile.number:
        shared = f" for profiles {', '.join(map(str, call.profiles))}" if len(call.profiles) > 1 else ""
        out.print(f"  call {call.number}{shared}: {call.method} {call.path}", markup=False)
        out.print(f"  {orjson.dumps(call.body).decode()}", markup=False)


def _shown(value: PreviewedValue, reveal: bool) -> str:
    if value.value == "":
        return "(emptied)"
    return orjson.dumps(value.value).decode() if reveal else str(value.value)


def _origin(value: PreviewedValue) -> str:
    return f"{value.source} (fallback {value.fallback})" if value.fallback else value.source


def _print_totals(found: Preview) -> None:
    if found.received > len(found.profiles):
        err.print(f"The first {len(found.profiles):,} are shown; --shown N shows more.")
    print_table(
        f"Preview of {found.destination}; nothing was sent or changed",
        ["received", *found.outcomes, "calls", "share of the year"],
        [(found.received, *found.outcomes.values(), found.call_count, f"{found.share_of_year:.4%}")],
    )
    for reason, count in most_frequent(found.reasons):
        code, _, detail = reason.partition("|")
        out.print(f"  excluded: {code}{f': {detail}' if detail else ''}: {count:,}", markup=False)
    for where, count in sorted(found.left_out.items(), key=lambda item: -item[1]):
        out.print(f"  left out: {where}: {count:,}", markup=False)
    for place in found.unmatched:
        out.print(f"  no profile has a value for {place}", markup=False)
    out.print(f"Calls this year: {found.calls_this_year:,} of {found.calls_per_year:,}.")
    if found.state != "enabled":
        out.print(f"{found.destination} is {found.state}: nothing goes out until that is over.", markup=False)
