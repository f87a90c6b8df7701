"""Enqueueing from a file and following the job."""

from __future__ import annotations

import time
from datetime import datetime
from typing import BinaryIO

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.report import err, json_option, out, print_json, print_table, resources
from app.errors import UsageError
from app.mapping.xdm import parse_time
from app.producer import Producer, profiles_of
from app.reporting.jobs import Job, read_job
from app.reporting.runs import OUTCOMES
from app.resources import Resources

POLL_SECONDS = 0.2
LINES_NAMED = 10


@click.command()
@click.argument("destination")
@click.argument("file", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Wait until every profile has its outcome.")
@click.option("--backfill", is_flag=True, help="Behind all live updates.")
@click.option("--force", is_flag=True, help="Send even what is delivered already.")
@click.option("--occurred-at", metavar="TIME", help="RFC 3339: when the profiles became true, if they do not say.")
@json_option
def enqueue(
    destination: str, file: BinaryIO, wait: bool, backfill: bool, force: bool, occurred_at: str | None, as_json: bool
) -> None:
    """Enqueue the profiles in FILE (JSON Lines; - for standard input) to DESTINATION; prints the job id.

    A line that is no JSON is named and counted as excluded; the others are enqueued. With --wait, exit 1 when some failed.
    """
    version: int | datetime | None = None
    if occurred_at is not None:
        try:
            version = parse_time(occurred_at)
        except ValueError as error:
            raise UsageError(f"--occurred-at: {error}.", remedy="Write it like 2026-11-22T10:00:00Z.") from error
    broken: list[int] = []
    with resources() as made:
        job_id = Producer(made).enqueue(
            destination, profiles_of(file, broken.append), occurred_at=version, backfill=backfill, force=force
        )
        if broken:
            _name_lines(file, broken)
        if not wait:
            print_json({"job": job_id}) if as_json else click.echo(job_id)
            return
        err.print(f"Job {job_id}", markup=False)
        result = follow(made, job_id)
    _print(result, as_json)
    if result.outcomes["failed"]:
        raise click.exceptions.Exit(1)


def _name_lines(file: BinaryIO, numbers: list[int]) -> None:
    shown = ", ".join(map(str, numbers[:LINES_NAMED])) + (", …" if len(numbers) > LINES_NAMED else "")
    lines = f"line {shown} is" if len(numbers) == 1 else f"{len(numbers)} lines are"
    err.print(
        f"{getattr(file, 'name', 'standard input')}: {lines} no JSON and excluded{'' if len(numbers) == 1 else ': ' + shown}. "
        "Mend and enqueue again: what is delivered already costs no call.",
        markup=False,
    )


def follow(made: Resources, job_id: str) -> Job:
    """Wait for a job with a progress bar on the error stream."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        result = read_job(made.redis, job_id)
        bar = progress.add_task("Activating", total=result.received)
        while result.pending > 0:
            progress.update(bar, completed=result.received - result.pending, total=result.received)
            time.sleep(POLL_SECONDS)
            result = read_job(made.redis, job_id)
        progress.update(bar, completed=result.received, total=result.received)
    return result


@click.command()
@click.argument("job")
@json_option
def job(job: str, as_json: bool) -> None:
    """The counts of JOB by outcome."""
    with resources() as made:
        result = read_job(made.redis, job)
    _print(result, as_json)


def _print(result: Job, as_json: bool) -> None:
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
