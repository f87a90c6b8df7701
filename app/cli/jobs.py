"""Jobs: what became of what was enqueued."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.destinations_argument import DESTINATION
from app.cli.interrupts import Interrupts
from app.cli.report import err, json_option, moment, out, print_json, print_table, resources
from app.destinations.state import Status
from app.keys import LANES, DestinationKeys
from app.reporting.jobs import Job, read_job, read_jobs
from app.reporting.runs import OUTCOMES
from app.resources import Resources

POLL_SECONDS = 0.2
STILL_SECONDS = 10.0  # if nothing has moved for this long, say why


def follow(made: Resources, job_id: str, *, timeout_seconds: float | None = None) -> Job:
    """Wait for a job, with a progress bar on the error stream that says why nothing moves; returns its counts so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    begun = moved = time.monotonic()
    said: set[str] = set()
    before = -1
    with Interrupts() as interrupts, Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        bar = progress.add_task("Activating")
        for _ in interrupts.between(_ticks()):
            result = read_job(made.redis, job_id)
            progress.update(bar, completed=result.received - result.pending, total=result.received)
            now = time.monotonic()
            if result.pending <= 0 or (timeout_seconds is not None and now - begun >= timeout_seconds):
                break
            if result.pending != before:
                moved, before = now, result.pending
            for reason in _reasons(made, result, still=now - moved >= STILL_SECONDS):
                if reason not in said:
                    said.add(reason)
                    progress.console.print(reason, markup=False)
    return result


def _ticks() -> Iterator[None]:
    while True:
        yield
        time.sleep(POLL_SECONDS)


def _reasons(made: Resources, job: Job, *, still: bool) -> list[str]:
    """Return why profiles of a job wait. `still`: none has been settled for a while."""
    reasons = []
    for destination_id in job.destinations:
        state = made.states.get(destination_id)
        if state.code:
            reasons.append(f"{destination_id} is {state.status}: {state.text} {state.remedy}".strip())
        elif still and not _is_held(made, destination_id):
            reasons.append(
                f"Nothing of {destination_id} has moved for {STILL_SECONDS:.0f} s, and no worker holds a lane of it. "
                "Is one running? `activation up` starts some."
            )
    return reasons


def _is_held(made: Resources, destination_id: str) -> bool:
    keys = DestinationKeys(destination_id)
    return bool(made.redis.exists(*(keys.lane(number).lease for number in range(LANES))))


@click.command()
@click.argument("job")
@json_option
def job(job: str, as_json: bool) -> None:
    """Show the counts of JOB by outcome."""
    with resources() as made:
        result = read_job(made.redis, job)
    print_job(result, as_json)


@click.command()
@click.argument("destination", required=False, type=DESTINATION)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@json_option
def jobs(destination: str | None, limit: int, as_json: bool) -> None:
    """List the newest jobs, of DESTINATION or of all: who began them, what they hold, how far they are."""
    with resources() as made:
        if destination is not None:
            made.destinations.get(destination)
        found = read_jobs(made.redis, [destination] if destination else [], limit=limit)
        states = {name: made.states.get(name).status for name in {one.destinations[0] for one in found}}
    rows = [(one, _state(one, states[one.destinations[0]])) for one in found]
    if as_json:
        print_json(
            [
                {"job": one.id, "destination": one.destinations[0], "source": one.source, "last_ms": one.last_ms, "state": state,
                 "received": one.received, **one.outcomes, "pending": one.pending}
                for one, state in rows
            ]
        )  # fmt: skip
        return
    print_table(
        "",
        ["last profiles", "job", "destination", "source", "state", "received", "pending", "excluded", "failed"],
        [
            (moment(one.last_ms), one.id, one.destinations[0], one.source or "-", state, one.received, one.pending,
             one.outcomes["excluded"], one.outcomes["failed"])
            for one, state in rows
        ],
    )  # fmt: skip


def _state(job: Job, status: Status) -> str:
    """Return the state in one word: incomplete (a load of files under way or interrupted), how pending profiles wait, or done."""
    if job.incomplete:
        return "incomplete"
    if job.pending:
        return "waiting" if status is Status.ENABLED else str(status)
    return "done"


def print_job(result: Job, as_json: bool) -> None:
    if as_json:
        print_json(
            {"job": result.id, "destinations": list(result.destinations), "source": result.source,
             "received": result.received, **result.outcomes, "pending": result.pending, "reasons": result.reasons}
        )  # fmt: skip
        return
    print_table(
        f"Job {result.id} to {', '.join(result.destinations)}",
        ["received", *OUTCOMES, "pending"],
        [(result.received, *result.outcomes.values(), result.pending)],
    )
    if result.incomplete:
        out.print(
            "It is still loaded from files, or that was interrupted: `activation enqueue … --resume` goes on.",
            markup=False,
        )
    for reason, count in sorted(result.reasons.items()):
        out.print(f"  {reason}: {count:,}", markup=False)
