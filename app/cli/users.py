"""Users of the console, keys of its API, and the audit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from app.access.api_keys import ApiKeys
from app.access.roles import Role, read_role
from app.access.sessions import LINK_SECONDS, Sessions
from app.access.users import Users
from app.cli.report import (
    check_none_is_locked,
    confirm,
    err,
    json_option,
    moment,
    note,
    out,
    print_json,
    print_table,
    resources,
)
from app.console.address import console_url
from app.errors import UsageError
from app.reporting.audit import read_acts

if TYPE_CHECKING:
    from app.resources import Resources

_ROLE = click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default="view",
    show_default=True,
    help="view looks; activate enqueues, replays, pauses; manage does everything.",
)


def _print_link(made: Resources, name: str, role: Role, *, asks_password: bool, as_json: bool) -> None:
    sessions = Sessions(made.redis, made.ring, Users(made.redis, made.ring))
    token = sessions.make_link(name, role, asks_password=asks_password)
    link = f"{console_url(made.settings)}/link/{token}"
    if as_json:
        print_json({"user": name, "role": role, "link": link, "expires_in_seconds": LINK_SECONDS})
        return
    out.print(link, markup=False)
    err.print(f"It signs {name} in once, within {LINK_SECONDS // 60} minutes.", markup=False)


@click.group()
def user() -> None:
    """Manage who may use the console."""


@user.command("add")
@click.argument("name")
@_ROLE
@json_option
def add(name: str, role: str, as_json: bool) -> None:
    """Add the user NAME, or change their role; prints a link that signs in once, to choose a password."""
    with resources() as made:
        added = Users(made.redis, made.ring).add(name, read_role(role), now_ms=made.clock.now_ms())
        note(made, "user add", detail=f"{name} {role}")
        _print_link(made, added.name, added.role, asks_password=True, as_json=as_json)


@user.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List the users."""
    with resources() as made:
        found = Users(made.redis, made.ring).all()
    if as_json:
        print_json(
            [
                {
                    "user": one.name,
                    "role": one.role,
                    "created_ms": one.created_ms,
                    "has_password": bool(one.password_hash),
                }
                for one in found
            ]
        )
        return
    print_table(
        "",
        ["user", "role", "since", "password"],
        [
            (one.name, one.role, moment(one.created_ms), "yes" if one.password_hash else "not chosen yet")
            for one in found
        ],
    )


@user.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove the user NAME and end their sessions."""
    with resources() as made:
        users = Users(made.redis, made.ring)
        if users.get(name) is None:
            raise UsageError(f"There is no user {name[:100]!r}.", remedy="`activation user list` names them.")
        if not yes:
            confirm(f"{name} will not be able to sign in any more. Go on?")
        users.remove(name)
        note(made, "user remove", detail=name)
    out.print(f"{name} is removed.", markup=False)


@user.command("link")
@click.argument("name", required=False)
@json_option
def link(name: str | None, as_json: bool) -> None:
    """Print another link for NAME, to choose a new password.

    Without a name: a link that signs in as `local`, with the role manage.
    """
    with resources() as made:
        if name is None:
            note(made, "user link", detail="local")
            _print_link(made, "local", Role.MANAGE, asks_password=False, as_json=as_json)
            return
        found = Users(made.redis, made.ring).get(name)
        if found is None:
            raise UsageError(f"There is no user {name[:100]!r}.", remedy="`activation user add NAME` adds one.")
        note(made, "user link", detail=name)
        _print_link(made, found.name, found.role, asks_password=True, as_json=as_json)


@user.command("reseal")
def reseal() -> None:
    """Seal all users and API keys with the first key of ACTIVATION_SECRET_KEYS, before an old one is dropped."""
    with resources() as made:
        users, keys = Users(made.redis, made.ring).reseal(), ApiKeys(made.redis, made.ring).reseal()
    out.print(f"{users.count:,} users and {keys.count:,} API keys are sealed with the first key.")
    check_none_is_locked([*(f"user {name}" for name in users.locked), *(f"API key {name}" for name in keys.locked)])


@click.group("api-key")
def api_key() -> None:
    """Manage keys of programs that use the console's JSON API."""


@api_key.command("add")
@click.argument("name")
@_ROLE
@json_option
def add_key(name: str, role: str, as_json: bool) -> None:
    """Create a key for the program NAME and print it, this once."""
    with resources() as made:
        key = ApiKeys(made.redis, made.ring).add(name, read_role(role), now_ms=made.clock.now_ms())
        note(made, "api-key add", detail=f"{name} {role}")
    print_json({"name": name, "role": role, "key": key}) if as_json else click.echo(key)


@api_key.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List the keys by name."""
    with resources() as made:
        found = ApiKeys(made.redis, made.ring).all()
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print_table("", ["name", "role", "since"], [(one.name, one.role, moment(one.created_ms)) for one in found])


@api_key.command("revoke")
@click.argument("name")
def revoke_key(name: str) -> None:
    """Revoke the key of NAME."""
    with resources() as made:
        if not ApiKeys(made.redis, made.ring).revoke(name):
            raise UsageError(f"There is no key {name[:63]!r}.", remedy="`activation api-key list` names them.")
        note(made, "api-key revoke", detail=name)
    out.print(f"The key of {name} is no longer valid.", markup=False)


@click.command()
@click.option("--most", default=100, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def audit(most: int, as_json: bool) -> None:
    """Show who did what and when, newest first."""
    with resources() as made:
        found = read_acts(made.redis, made.ring, most=most)
    if as_json:
        print_json([{"at_ms": at_ms, **asdict(act)} for at_ms, act in found])
        return
    print_table(
        "",
        ["time", "who", "what", "destination", "detail"],
        [(moment(at_ms), act.who, act.what, act.destination, act.detail) for at_ms, act in found],
    )
