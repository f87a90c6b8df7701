"""Enqueues profiles from files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.destinations_argument import DESTINATION
from app.cli.exclusions import Exclusions
from app.cli.files import standard_input
from app.cli.interrupts import Interrupts
from app.cli.jobs import follow, print_job
from app.cli.report import complain, err, json_option, print_json, resources
from app.cli.time_option import TIME
from app.destinations.model import Destination
from app.errors import ServiceUnreachable, UsageError, WorkHasProblems
from app.files.columns_file import read_columns
from app.files.reading import Files
from app.files.records import Record
from app.mapping.contact_key import contact_key_reader
from app.mapping.unread import tell_unread
from app.mapping.update import Excluded, Reason
from app.producer import Producer
from app.reporting.loads import Load, loaded_before

RECORDS_BETWEEN_UPDATES = 500


@click.command()
@click.argument("destination", type=DESTINATION)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--columns", metavar="FILE", help="YAML: which column of CSV or Parquet goes where. Default: by their names."
)
@click.option("--excluded", metavar="FILE", help="Write what is excluded to this file: where, and why.")
@click.option(
    "--resume", "resumed", metavar="JOB", help="Continue an interrupted load; all other arguments must be the same."
)
@click.option("--wait", is_flag=True, help="Wait until every profile has its outcome.")
@click.option(
    "--timeout", "timeout_seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this."
)
@click.option("--backfill", is_flag=True, help="Deliver them after all live updates.")
@click.option("--force", is_flag=True, help="Send even what was already delivered.")
@click.option(
    "--occurred-at", type=TIME, metavar="TIME", help="RFC 3339: when the profiles became true, if they do not say."
)
@json_option
def enqueue(
    destination: str,
    files: tuple[str, ...],
    columns: str | None,
    excluded: str | None,
    resumed: str | None,
    wait: bool,
    timeout_seconds: float | None,
    backfill: bool,
    force: bool,
    occurred_at: int | None,
    as_json: bool,
) -> None:
    """Enqueue the profiles in FILEs (- for standard input) to DESTINATION; prints the job id first.

    A FILE holds JSON Lines, JSON, CSV or Parquet, plain or compressed with gzip or zstd, recognised by its content; a
    folder stands for its files. A file without profiles is refused before anything is enqueued. A line, element or row that
    is no profile is reported and counted as excluded; the others are enqueued. Exit 1 if some were excluded or, with
    --wait, failed.
    """
    if timeout_seconds is not None and not wait:
        raise UsageError("--timeout needs --wait.")
    given = None if columns is None else read_columns(columns)
    with resources() as made:
        target = made.destinations.get(destination)
        found = Files(files, standard_input, given=given, leads_to_contact=leads_to_contact(target))
        warn_of_unread(found, target)
        load = Load.of(found.recognised, given, occurred_at_ms=occurred_at, backfill=backfill, force=force)
        before = None if resumed is None else loaded_before(made.redis, destination, resumed, load)
        job_id = resumed or uuid4().hex
        inputs = [*files, *(file.name for file in found.recognised), *([] if columns is None else [columns])]
        result, is_whole = None, True
        with Exclusions(excluded, resumed=resumed is not None, inputs=inputs) as exclusions:
            if wait or as_json:
                err.print(f"Job {job_id}", markup=False)
            else:
                click.echo(job_id)
            if before is not None and before.complete:
                err.print(f"Everything was enqueued before: {before.count:,} profiles.", markup=False)
            else:
                skip = before.count if before else 0
                interrupts = Interrupts()
                try:
                    with interrupts:
                        Producer(made).load(
                            destination,
                            interrupts.between(_shown(found, found.records(skip=skip), skip)),
                            exclusions.add,
                            job_id=job_id,
                            loaded=skip,
                            about={"source": "cli", "load": load.text},
                            occurred_at=occurred_at,
                            backfill=backfill,
                            force=force,
                        )
                except WorkHasProblems as error:
                    # what came before is enqueued, so there is a job to wait for and to print
                    is_whole = False
                    complain(str(error), error.remedy)
                except (KeyboardInterrupt, ServiceUnreachable) as error:
                    _say_how_to_go_on(job_id, resumed)
                    if isinstance(error, KeyboardInterrupt):
                        raise click.exceptions.Exit(128 + interrupts.number) from None
                    raise
                finally:
                    exclusions.tell()
        if wait:
            result = follow(made, job_id, timeout_seconds=timeout_seconds)
            print_job(result, as_json)
        elif as_json:
            print_json({"job": job_id})
    if result is not None and result.pending:
        raise WorkHasProblems(
            f"{result.pending:,} of {result.received:,} profiles are pending after {timeout_seconds:g} s.",
            remedy=f"They stay; `activation job {job_id}` counts them.",
        )
    if (
        exclusions.count
        or not is_whole
        or (result is not None and (result.outcomes["failed"] or result.outcomes["excluded"]))
    ):
        raise click.exceptions.Exit(1)


def warn_of_unread(files: Files, destination: Destination) -> None:
    """Warn about columns that nothing reads, whose values would be dropped silently."""
    for text in tell_unread(files.columns, destination):
        err.print(f"Warning: {text}", markup=False)


def leads_to_contact(destination: Destination) -> Any:
    """Return a function that says whether such a profile has a contact key of the destination."""
    contact_key = contact_key_reader(destination)

    def leads(profile: Mapping[str, Any]) -> bool:
        found = contact_key(profile)
        return not (isinstance(found, Excluded) and found.reason is Reason.MISSING_CONTACT_KEY)

    return leads


def _say_how_to_go_on(job_id: str, resumed: str | None) -> None:
    words = sys.argv[1:] if resumed else [*sys.argv[1:], "--resume", job_id]
    err.print(
        f"Stopped half-way. To go on, nothing twice: {shlex.join(['activation', *words])}",
        markup=False,
    )


def _shown(files: Files, records: Iterable[Record], skipped: int) -> Iterator[Record]:
    """Pass the records on, with a progress bar on a terminal."""
    columns = (
        TextColumn("Enqueueing"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]:,} profiles"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task_id = progress.add_task("", total=files.size, count=skipped, rate=0.0)
        [task] = progress.tasks
        count = 0

        def update() -> None:
            rate = count / task.elapsed if task.elapsed else 0.0
            progress.update(task_id, completed=files.consumed(), count=skipped + count, rate=rate)

        for record in records:
            yield record
            count += 1
            if count % RECORDS_BETWEEN_UPDATES == 0:
                update()
        update()
