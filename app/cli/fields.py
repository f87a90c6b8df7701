"""What a destination can be mapped to, and whether its mapping is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from app.cli.destinations_argument import DESTINATION
from app.cli.report import err, json_option, moment, out, print_json, print_table, resources
from app.destinations import catalogs, operating
from app.durability import find_storage_problems
from app.errors import CallError, WorkHasProblems
from app.mapping.paths import spell_target
from app.mapping.problems import Problem
from app.reporting.quota import MORE_CALLS, read_quota
from app.resources import Resources


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--refresh", is_flag=True, help="Fetch the definitions from Marketing Cloud now.")
@json_option
def fields(destination: str, refresh: bool, as_json: bool) -> None:
    """List the fields of DESTINATION that a mapping may target, and which of them can hold a segment's status."""
    with resources() as made:
        target = made.destinations.get(destination)
        found = None if refresh else made.catalogs.get(destination)
        if found is None:
            client = made.client(target)
            try:
                found = catalogs.refresh(target, client, made.catalogs, made.clock.now_ms())
            except CallError as error:
                if error.service_message:  # the request was about the account, so this quotes no profile
                    err.print(f"Marketing Cloud says: {error.service_message}", markup=False)
                raise
        failure = made.catalogs.last_failure(destination)
    candidates = {attribute.qualified for attribute in found.mapping_id_candidates()}
    rows: list[dict[str, Any]] = [
        {
            "target": spell_target(attribute.set_name, attribute.name),
            "type": attribute.data_type,
            "length": attribute.length,
            "required": not attribute.is_nullable,
            "values": list(attribute.restricted_values),
            "mapping_id": attribute.qualified in candidates,
        }
        for attribute in found.selectable()
    ]
    if as_json:
        print_json({"fetched_at_ms": found.fetched_at_ms, "failure": failure.text if failure else "", "fields": rows})
        return
    print_table(
        f"Fields of {destination}, fetched {moment(found.fetched_at_ms)}",
        ["target", "type", "length", "Mapping ID?", "allowed values"],
        [
            (
                row["target"],
                row["type"],
                "" if row["length"] is None else str(row["length"]),
                "yes" if row["mapping_id"] else "",
                ", ".join(row["values"]),
            )
            for row in rows
        ],
    )
    if failure is not None:
        err.print(f"The last refresh failed at {moment(failure.at_ms)}: {failure.text}", markup=False)


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--new-token", is_flag=True, help="Request a token, even if the one in use is a few minutes old at most.")
@json_option
def check(destination: str, new_token: bool, as_json: bool) -> None:
    """Check DESTINATION: credentials, scopes, fields, Mapping IDs. Lists each problem with its remedy and exits with 1."""
    with resources() as made:
        problems = [
            *operating.check(made, destination, new_token=new_token).problems,
            *_standstill(made, destination),
            *find_storage_problems(made.redis),
        ]
    errors = [problem for problem in problems if problem.level == "error"]
    if as_json:
        print_json(
            {
                "ok": not errors,
                "problems": [
                    {"level": item.level, "where": item.where, "text": item.text, "remedy": item.remedy}
                    for item in problems
                ],
            }
        )
        if errors:
            raise click.exceptions.Exit(1)
        return
    print_problems(problems)
    if errors:
        raise WorkHasProblems(f"{len(errors)} problem{'s' * (len(errors) > 1)} to fix.")
    out.print(f"[green]✔[/] {destination} is ready.")


def _standstill(made: Resources, destination_id: str) -> Iterator[Problem]:
    """Report if the account's calls for this year are used up and no more may be made."""
    destination = made.destinations.get(destination_id)
    limits = destination.limits
    quota = read_quota(
        made.redis, destination.account.key, calls_per_year=limits.calls_per_year, stops=limits.stop_at_yearly_quota
    )
    if quota.standstill:
        yield Problem("error", "limits.calls_per_year", quota.standstill, MORE_CALLS)


def print_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        err.print(f"{problem.level}: {problem.where}: {problem.text} {problem.remedy}".rstrip(), markup=False)
