"""What could not be delivered, why, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from app.cli.destinations_argument import DESTINATION
from app.cli.files import write_private
from app.cli.report import (
    confirm,
    json_option,
    moment,
    note,
    print_done,
    print_json,
    print_table,
    resources,
    with_times,
)
from app.cli.time_option import TIME
from app.errors import SealBroken, UsageError, WorkHasProblems, did_you_mean
from app.lanes.failures import Failure, FailureStore
from app.reporting import failure_acts
from app.reporting.failure_search import Wanted, find_failures
from app.reporting.masking import MASK, known_names, mask
from app.resources import Resources

SHOWN = 100


def _check_code(store: FailureStore, code: str) -> None:
    """Check that some failure has this code, so that a typo does not look like success. Raises: `WorkHasProblems`."""
    codes = sorted({failure.code for failure in store.all()})
    if code not in codes:
        held = f"The codes are: {', '.join(codes)}." if codes else "There are no failures at all."
        raise WorkHasProblems(f"No failure has the code {code!r}.{did_you_mean(code, codes)}", remedy=held)


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--replay", is_flag=True, help="Enqueue them again; a newer value is never overwritten.")
@click.option("--discard", is_flag=True, help="Drop them.")
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), help="Write them to FILE as JSON Lines, in clear."
)
@click.option("--code", help="Only those with this code.")
@click.option("--field", default="", help="Only those whose reason names a field with this in its name.")
@click.option("--segment", default="", metavar="ID", help="Only those whose profile mentions this segment.")
@click.option("--job", default="", help="Only those of this job.")
@click.option("--since", type=TIME, metavar="TIME", help="Only those that failed at or after TIME.")
@click.option("--until", type=TIME, metavar="TIME", help="Only those that failed at or before TIME.")
@click.option("--reveal", is_flag=True, help="Show the profiles, and what Marketing Cloud said in its own words.")
@click.option("--yes", is_flag=True, help="Do not ask before discarding.")
@json_option
def failures(
    destination: str,
    replay: bool,
    discard: bool,
    export: Path | None,
    code: str | None,
    field: str,
    segment: str,
    job: str,
    since: int | None,
    until: int | None,
    reveal: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show the failed profiles of DESTINATION with personal data masked, or --replay, --discard or --export them."""
    if replay + discard + (export is not None) > 1:
        raise UsageError(
            "Only one of --replay, --discard and --export.", remedy="Export first, then replay or discard."
        )
    with resources() as made:
        known = known_names(made.destinations.get(destination))
        if code is not None:
            _check_code(made.failures(destination), code)
        wanted = Wanted(code or "", field, segment, job, since, until)
        found = find_failures(made, destination, wanted)
        if replay:
            _replay(made, destination, wanted, as_json=as_json)
        elif discard:
            ids = [failure.id for failure in found]
            if ids and not yes:
                confirm(f"{len(ids):,} failed profiles will be lost. Go on?")
            made.failures(destination).remove(ids)
            note(made, "discard", destination, detail=str(len(ids)))
            print_done(f"{len(ids):,} discarded.", _done(len(ids)), as_json=as_json)
        elif export is not None:
            described = (_describe(failure, made, destination, reveal=True) for failure in found)
            count = write_private(export, (orjson.dumps(with_times(line)) for line in described))
            note(made, "export", destination, detail=str(count))
            print_done(f"{count:,} written to {export}.", _done(count), as_json=as_json)
        else:
            shown = list(found)
            if as_json:
                print_json([_describe(failure, made, destination, reveal=reveal, known=known) for failure in shown])
            else:
                _print(destination, shown, made, reveal=reveal)
            if reveal and shown:
                note(made, "reveal failures", destination, detail=str(len(shown)))


def _replay(made: Resources, destination: str, wanted: Wanted, *, as_json: bool) -> None:
    """Replay failures. Raises: `WorkHasProblems` if some stay."""
    done = failure_acts.replay(made, destination, wanted)
    if done.job_id:
        note(made, "replay", destination, detail=f"{done.count} as job {done.job_id}")
        text = f"{done.count:,} enqueued again as job {done.job_id}."
    else:
        text = "There is nothing to enqueue again."
    print_done(text, _done(done.count, job=done.job_id, locked=done.locked), as_json=as_json)
    if done.locked:
        raise WorkHasProblems(
            f"{done.locked:,} stay: no key of ACTIVATION_SECRET_KEYS opens them, or they were altered.",
            remedy="Add the key that they were sealed with back to the end of ACTIVATION_SECRET_KEYS, then replay again.",
        )


def _done(count: int, *, job: str = "", locked: int = 0) -> dict[str, object]:
    """Return the same JSON shape for every action.

    `job`: null if there is none. `locked`: how many stay because no key opens them.
    """
    return {"job": job or None, "count": count, "locked": locked}


def _profile(failure: Failure, made: Resources, destination: str) -> object:
    """Return the profile; None if it cannot be opened."""
    try:
        return failure.open(made.ring, destination)
    except SealBroken:
        return None


def _describe(
    failure: Failure, made: Resources, destination: str, *, reveal: bool, known: frozenset[str] = frozenset()
) -> dict[str, object]:
    profile = _profile(failure, made, destination)
    return {
        "id": failure.id,
        "failed_at_ms": failure.failed_at_ms,
        "code": failure.code,
        "text": failure.text,
        "remedy": failure.remedy,
        "service_message": failure.service_message if reveal else (MASK if failure.service_message else ""),
        "request_id": failure.request_id,
        "http_status": failure.http_status,
        "attempts": failure.attempts,
        "first_tried_at_ms": failure.first_tried_at_ms,
        "job": failure.origin.job_id,
        "profile": profile if reveal else mask(profile, known),
    }


def _print(destination: str, found: list[Failure], made: Resources, *, reveal: bool) -> None:
    print_table(
        f"{len(found):,} failed profiles of {destination}" + (f", the first {SHOWN}" if len(found) > SHOWN else ""),
        [
            "failed at",
            "code",
            "tries",
            "why",
            "remedy",
            "request id",
            "job",
            *(["Marketing Cloud said", "profile"] if reveal else []),
        ],
        [
            (
                moment(item.failed_at_ms),
                item.code,
                item.attempts,
                item.text,
                item.remedy,
                item.request_id,
                item.origin.job_id,
                *([item.service_message, orjson.dumps(_profile(item, made, destination)).decode()] if reveal else []),
            )
            for item in found[:SHOWN]
        ],
    )
