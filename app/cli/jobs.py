"""Jobs: what became of what was enqueued."""

from __future__ import annotations

import time

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.report import err, json_option, out, print_json, print_table, resources
from app.keys import LANES, DestinationKeys
from app.reporting.jobs import Job, read_job
from app.reporting.runs import OUTCOMES
from app.resources import Resources

POLL_SECONDS = 0.2
STILL_SECONDS = 10.0  # when nothing has moved for so long, it is time to say why


def follow(made: Resources, job_id: str, *, timeout_seconds: float | None = None) -> Job:
    """Wait for a job with a progress bar on the error stream, saying why nothing moves; returns its counts by then."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    begun = moved = time.monotonic()
    said: set[str] = set()
    with Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        result = read_job(made.redis, job_id)
        bar = progress.add_task("Activating", total=result.received)
        while result.pending > 0:
            progress.update(bar, completed=result.received - result.pending, total=result.received)
            now = time.monotonic()
            if timeout_seconds is not None and now - begun >= timeout_seconds:
                break
            for reason in _reasons(made, result, still=now - moved >= STILL_SECONDS):
                if reason not in said:
                    said.add(reason)
                    progress.console.print(reason, markup=False)
            time.sleep(POLL_SECONDS)
            before, result = result.pending, read_job(made.redis, job_id)
            if result.pending != before:
                moved = time.monotonic()
        progress.update(bar, completed=result.received - result.pending, total=result.received)
    return result


def _reasons(made: Resources, job: Job, *, still: bool) -> list[str]:
    """Why profiles of a job wait; `still` when none has been settled for a while."""
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
    """The counts of JOB by outcome."""
    with resources() as made:
        result = read_job(made.redis, job)
    print_job(result, as_json)


def print_job(result: Job, as_json: bool) -> None:
    if as_json:
        print_json(
            {"job": result.id, "destinations": list(result.destinations), "received": result.received, **result.outcomes,
             "pending": result.pending, "reasons": result.reasons}
        )  # fmt: skip
        return
    print_table(
        f"Job {result.id} to {', '.join(result.destinations)}",
        ["received", *OUTCOMES, "pending"],
        [(result.received, *result.outcomes.values(), result.pending)],
    )
    for reason, count in sorted(result.reasons.items()):
        out.print(f"  {reason}: {count:,}", markup=False)
