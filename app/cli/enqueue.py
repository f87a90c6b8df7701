"""Enqueueing from files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import uuid4

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.jobs import follow, print_job
from app.cli.report import err, json_option, print_json, resources
from app.errors import UsageError, WorkHasProblems
from app.files.reading import Files
from app.files.records import Record
from app.files.streams import shown
from app.mapping.compiled import Excluded, Reason
from app.mapping.xdm import parse_time
from app.producer import Producer

RECORDS_NAMED = 10
RECORDS_BETWEEN_UPDATES = 500


@click.command()
@click.argument("destination")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Wait until every profile has its outcome.")
@click.option(
    "--timeout", "timeout_seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this."
)
@click.option("--backfill", is_flag=True, help="Behind all live updates.")
@click.option("--force", is_flag=True, help="Send even what is delivered already.")
@click.option("--occurred-at", metavar="TIME", help="RFC 3339: when the profiles became true, if they do not say.")
@json_option
def enqueue(
    destination: str, files: tuple[str, ...], wait: bool, timeout_seconds: float | None, backfill: bool, force: bool,
    occurred_at: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Enqueue the profiles in FILEs (- for standard input) to DESTINATION; prints the job id first.

    A FILE holds JSON Lines or JSON, plain or packed with gzip or zstd, which is told by its content; a folder stands for its
    files. What holds no profiles is refused before anything is enqueued. A line that is no profile is named and counted as
    excluded; the others are enqueued. Exit 1 when some were excluded or, with --wait, failed.
    """
    version = _moment(occurred_at)
    if timeout_seconds is not None and not wait:
        raise UsageError("--timeout goes with --wait.")
    with resources() as made:
        made.destinations.get(destination)
        given = Files(files, lambda: sys.stdin.buffer)
        job_id = uuid4().hex
        if wait or as_json:
            err.print(f"Job {job_id}", markup=False)
        else:
            click.echo(job_id)
        exclusions = _Exclusions()
        Producer(made).load(
            destination, _shown(given, given.records()), exclusions.add, job_id=job_id, loaded=0, about={"source": "cli"},
            occurred_at=version, backfill=backfill, force=force,
        )  # fmt: skip
        exclusions.tell()
        result = None
        if wait:
            result = follow(made, job_id, timeout_seconds=timeout_seconds)
            print_job(result, as_json)
        elif as_json:
            print_json({"job": job_id})
    if given.damage is not None:
        raise given.damage
    if result is not None and result.pending:
        raise WorkHasProblems(
            f"{result.pending:,} of {result.received:,} profiles are pending after {timeout_seconds:g} s.",
            remedy=f"They stay; `activation job {job_id}` counts them.",
        )
    if exclusions.count or (result is not None and (result.outcomes["failed"] or result.outcomes["excluded"])):
        raise click.exceptions.Exit(1)


def _moment(text: str | None) -> datetime | int | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"--occurred-at: {error}.", remedy="Write it like 2026-11-22T10:00:00Z.") from error


class _Exclusions:
    """What was excluded on the way in: counted by reason, the first ones named."""

    def __init__(self) -> None:
        self.reasons: Counter[Reason] = Counter()
        self._first: list[str] = []

    @property
    def count(self) -> int:
        return self.reasons.total()

    def add(self, record: Record, excluded: Excluded) -> None:
        self.reasons[excluded.reason] += 1
        if len(self._first) < RECORDS_NAMED:
            found = record.found or excluded.detail
            self._first.append(
                f"{shown(record.file)} {record.number:,}: {excluded.reason}{f' ({found})' if found else ''}"
            )

    def tell(self) -> None:
        if not self.count:
            return
        err.print(
            f"{self.count:,} {'profile is' if self.count == 1 else 'profiles are'} excluded; the others are enqueued. "
            "Mend and enqueue again: what is delivered already costs no call.",
            markup=False,
        )
        for line in self._first:
            err.print(f"  {line}", markup=False)
        if self.count > len(self._first):
            err.print(f"  … and {self.count - len(self._first):,} more.", markup=False)


def _shown(files: Files, records: Iterable[Record]) -> Iterator[Record]:
    """The records, with a progress bar on a terminal while they are read."""
    columns = (
        TextColumn("Enqueueing"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[count]:,} profiles"),
        TextColumn("{task.fields[rate]:,.0f}/s"), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        progress.add_task("", total=files.size, count=0, rate=0.0)
        count = 0
        for count, record in enumerate(records, 1):  # used after the loop
            yield record
            if count % RECORDS_BETWEEN_UPDATES == 0:
                _update(progress, files, count)
        _update(progress, files, count)


def _update(progress: Progress, files: Files, count: int) -> None:
    [task] = progress.tasks
    elapsed_seconds = task.elapsed or 0
    rate = count / elapsed_seconds if elapsed_seconds else 0.0
    progress.update(task.id, completed=files.consumed(), count=count, rate=rate)
