"""Hourly runs."""

from __future__ import annotations

from dataclasses import asdict

import click

from app.cli.destinations_argument import DESTINATION
from app.cli.report import json_option, moment, out, print_json, print_table, resources
from app.reporting.histograms import most_frequent
from app.reporting.quota import read_quota
from app.reporting.runs import OUTCOMES, Run, read_backlog, read_runs


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--segments", is_flag=True, help="Show the statuses written, by segment.")
@click.option("--details", is_flag=True, help="Show the reasons for exclusions and failures.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 840))
@json_option
def runs(destination: str, segments: bool, details: bool, hours: int, as_json: bool) -> None:
    """Show the hourly runs of DESTINATION: what came, what became of it, and how many calls it took."""
    with resources() as made:
        target = made.destinations.get(destination)
        found = read_runs(made.redis, destination, hours=hours)
        backlog = read_backlog(made.redis, destination)
        state = made.states.get(destination)
        quota = read_quota(made.redis, target.account.key, calls_per_year=target.limits.calls_per_year)
    if as_json:
        print_json(
            {
                "destination": destination,
                "state": asdict(state),
                "waiting": asdict(backlog),
                "quota": asdict(quota),
                "runs": [
                    {"start_ms": run.start_ms, **asdict(run), "activation_rate": run.activation_rate} for run in found
                ],
            }
        )
        return
    print_table(
        f"Runs of {destination}, hours in UTC",
        ["hour", "received", *OUTCOMES, "calls", "rate"],
        [
            (
                _hour(run),
                run.received,
                *run.outcomes.values(),
                run.calls,
                "-" if run.activation_rate is None else f"{run.activation_rate:.1%}",
            )
            for run in found
        ],
    )
    if segments:
        names = {segment.id: segment.name or segment.mapping_id for segment in target.segments}
        print_table(
            "By segment",
            ["hour", "segment", "status", "delivered"],
            [
                (_hour(run), names.get(segment, segment), status, count)
                for run in found
                for segment, counts in sorted(run.segments.items())
                for status, count in sorted(counts.items())
            ],
        )
    if details:
        print_table(
            "Reasons",
            ["hour", "code", "where or why", "profiles"],
            [
                (_hour(run), *(reason.partition("|")[0::2]), count)
                for run in found
                for reason, count in most_frequent(run.reasons)
            ],
        )
        if any(run.left_out for run in found):
            print_table(
                "Values left out",
                ["hour", "where and why", "profiles"],
                [
                    (moment(run.start_ms)[:-4] + "Z", where, count)
                    for run in found
                    for where, count in sorted(run.left_out.items(), key=lambda item: -item[1])
                ],
            )
    out.print(f"Waiting: {backlog.live:,} live, {backlog.backfill:,} backfill, {backlog.parked:,} parked. ", end="")
    out.print(f"Calls this year: {quota.used:,} of {quota.allowed:,} ({quota.share:.1%}), forecast {quota.forecast:,}.")
    if state.code:
        out.print(
            f"{state.status} since {moment(state.since_ms)}: {state.text} ({state.code}) {state.remedy}", markup=False
        )


def _hour(run: Run) -> str:
    """Return the hour without its year, which the last 35 days do not need."""
    return moment(run.start_ms)[5:-4]
