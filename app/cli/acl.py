"""Rights: Redis users for each role, and keys for processes that must not open accounts."""

from __future__ import annotations

import secrets

import click

from app.acl import DEFAULT_USER, ROLES, rule_of
from app.cli.report import err, json_option, out, print_json, resources


@click.command()
@click.option("--server", type=click.Choice(["state", "broker"]), help="Only the users of this server.")
@json_option
def acl(server: str | None, as_json: bool) -> None:
    """Print Redis users with the least rights of each role, as lines of an ACL file, with new passwords each time.

    What each is for goes to standard error; with --server, standard output can be used as an ACL file unchanged.
    """
    chosen = [role for role in ROLES if server in (None, role.server)]
    if as_json:
        rows = [{"user": r.name, "server": r.server, "holds": r.holds, "rules": r.rules} for r in chosen]
        print_json(rows)
        return
    for name in dict.fromkeys(role.server for role in chosen):
        # Redis allows no comments in an ACL file, and each user only once
        err.print(
            f"# {name}: save what `--server {name}` prints as its aclfile; `default` must be off and keep its rights: "
            "Redis reads its append-only file back as `default`",
            markup=False,
        )
        out.print(f"user {DEFAULT_USER}", markup=False)
        for role in (role for role in chosen if role.server == name):
            err.print(f"# {role.name}: {role.holds}", markup=False)
            out.print(f"user {rule_of(role, secrets.token_urlsafe(24))}", markup=False)


@click.command("data-keys")
def data_keys() -> None:
    """Print the sealing keys for processes that take profiles in but open no account (intake, producers)."""
    with resources() as made:
        click.echo(",".join(made.ring.restricted))
    err.print("Set them as ACTIVATION_SECRET_KEYS of such a process.")
