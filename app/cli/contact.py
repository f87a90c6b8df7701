"""One contact: what was delivered, what waits, what failed."""

from __future__ import annotations

from dataclasses import asdict

import click

from app.cli.report import err, json_option, moment, out, print_json, print_table, resources
from app.reporting.contact import account_copy, read_contact

MOST_WAITING = 50  # shown in a table


@click.command()
@click.argument("destination")
@click.argument("key")
@click.option("--account", is_flag=True, help="Read what the account itself holds, with its values (one call).")
@json_option
def contact(destination: str, key: str, account: bool, as_json: bool) -> None:
    """Show what is known of the contact KEY of DESTINATION: names and times; values only with --account."""
    with resources() as made:
        found = read_contact(made, destination, key)
        copy = account_copy(made, destination, key) if account else None
    if as_json:
        print_json(
            {
                "destination": destination,
                "lane": found.lane,
                "delivered": [asdict(item) for item in found.delivered],
                "waiting": [asdict(item) for item in found.waiting],
                "failed": [
                    {
                        "id": item.id,
                        "failed_at_ms": item.failed_at_ms,
                        "code": item.code,
                        "text": item.text,
                        "remedy": item.remedy,
                    }
                    for item in found.failed
                ],
                "incomplete": found.incomplete,
                **({"account": copy} if account else {}),
            }
        )
        return
    held = {} if copy is None else copy
    names = dict.fromkeys([*(item.name for item in found.delivered), *held])
    known = {item.name: item for item in found.delivered}
    if names:
        print_table(
            f"Delivered to this contact of {destination}",
            ["attribute", "true since", "enqueued", "certain", *(["in the account now"] if account else [])],
            [
                (
                    name,
                    moment(known[name].version_ms) if name in known else "-",
                    moment(known[name].enqueued_ms) if name in known else "-",
                    ("yes" if known[name].certain else "no, its call was not answered") if name in known else "-",
                    *([held.get(name) or "-"] if account else []),
                )
                for name in names
            ],
        )
    else:
        out.print("Nothing is noted as delivered to this contact.")
    if account and copy is None:
        out.print("The account has no contact of this key.")
    if found.waiting:
        print_table(
            "Waiting",
            ["kind", "enqueued", "tries", "job", "would set"],
            [
                (item.kind, moment(item.enqueued_ms), item.attempts, item.job_id, ", ".join(item.attributes) or "-")
                for item in found.waiting[:MOST_WAITING]
            ],
        )
        if len(found.waiting) > MOST_WAITING:
            out.print(f"and {len(found.waiting) - MOST_WAITING:,} more, which --json shows")
    if found.failed:
        print_table(
            "Failed",
            ["failed at", "code", "why", "remedy"],
            [(moment(item.failed_at_ms), item.code, item.text, item.remedy) for item in found.failed],
        )
    if found.incomplete:
        err.print("Its lane holds more profiles than were looked through; more of this contact may wait.")
