"""Jobs: what became of what was enqueued."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.destinations_argument import DESTINATION
from app.cli.interrupts import Interrupts
from app.cli.report import asked_to_wait, err, json_option, moment, out, print_json, print_table, resources
from app.destinations import operating
from app.destinations.state import Status
from app.keys import LANES, DestinationKeys
from app.pacing.shown import read_pace
from app.reporting.jobs import Job, read_job, read_jobs
from app.reporting.quota import MORE_CALLS, read_quota
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
            for cause, text in _reasons(made, result, still=now - moved >= STILL_SECONDS):
                if cause not in said:
                    said.add(cause)
                    progress.console.print(text, markup=False)
    return result


def _ticks() -> Iterator[None]:
    while True:
        yield
        time.sleep(POLL_SECONDS)


def _reasons(made: Resources, job: Job, *, still: bool) -> Iterator[tuple[str, str]]:
    """Yield why profiles of a job wait: what each cause is called, and its text. `still`: none has been settled for a while."""
    for destination_id in job.destinations:
        state = made.states.get(destination_id)
        if state.code:
            text = f"{destination_id} is {state.status}: {state.text} {state.remedy}".strip()
            yield text, text
        elif still:
            yield from _still_reasons(made, destination_id)


def _still_reasons(made: Resources, destination_id: str) -> Iterator[tuple[str, str]]:
    """Yield why an enabled destination stands still: the account that workers have to wait for, else that there are none."""
    destination = operating.former(made, destination_id)
    if destination is not None:
        account, limits = destination.account.key, destination.limits
        quota = read_quota(made.redis, account, calls_per_year=limits.calls_per_year, stops=limits.stop_at_yearly_quota)
        if quota.standstill:
            yield f"{destination_id} quota", f"{destination_id}: {quota.standstill} {MORE_CALLS}"
            return
        if seconds := read_pace(made.redis, account, limits).wait_seconds:
            yield f"{destination_id} wait", asked_to_wait(destination_id, seconds)
            return
    if not _is_held(made, destination_id):
        text = (
            f"Nothing of {destination_id} has moved for {STILL_SECONDS:.0f} s, and no worker holds a lane of it. "
            "Is one running? `activation up` starts some."
        )
        yield text, text


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
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many jobs to show.")
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
                {
                    "job": one.id,
                    "destination": one.destinations[0],
                    "source": one.source,
                    "last_ms": one.last_ms,
                    "state": state,
                    "received": one.received,
                    **one.outcomes,
                    "pending": one.pending,
                }
                for one, state in rows
            ]
        )
        return
    print_table(
        "",
        ["last profiles", "job", "destination", "source", "state", "received", "pending", "excluded", "failed"],
        [
            (
                moment(one.last_ms),
                one.id,
                one.destinations[0],
                one.source or "-",
                state,
                one.received,
                one.pending,
                one.outcomes["excluded"],
                one.outcomes["failed"],
            )
            for one, state in rows
        ],
    )


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
            {
                "job": result.id,
                "destinations": list(result.destinations),
                "source": result.source,
                "received": result.received,
                **result.outcomes,
                "pending": result.pending,
                "reasons": result.reasons,
            }
        )
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
