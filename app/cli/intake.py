"""The HTTP intake, and who may send to it."""

from __future__ import annotations

from typing import Any

import click

from app.cli.report import check_none_is_locked, json_option, moment, note, out, print_json, print_table, resources
from app.cli.stack import listening
from app.devstack.private_redis import with_redis
from app.devstack.signals import serving
from app.devstack.stack import INTAKE_PORT, environment
from app.errors import UsageError
from app.intake.counts import SourceCounts, read_counts
from app.intake.sources import SourceStore
from app.logs import configure
from app.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", default=INTAKE_PORT, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one."
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that serve it; best as many as there are cores.",
)
def intake(host: str, port: int, processes: int) -> None:
    """Take profiles by HTTP until Ctrl-C (`activation up` includes this)."""
    from app.intake.serve import serve
    from app.serving.listener import listen

    with with_redis(Settings.from_env()) as settings:
        with listening(host, port):
            listener = listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        out.print(f"Intake   http://{shown}:{listener.getsockname()[1]}", markup=False)
        configure(settings.log_level, form=settings.log_format)
        with serving():
            serve(listener, environment(settings, "intake"), processes=processes)


@click.group()
def source() -> None:
    """Manage who may send profiles by HTTP."""


@source.command()
@click.argument("name")
@click.option(
    "--destination",
    "destinations",
    multiple=True,
    required=True,
    help="A destination that it may send to; can be repeated.",
)
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    help="A name that its client certificate must contain, as reported by the proxy.",
)
@click.option(
    "--profiles-per-second", type=click.IntRange(min=0), help="Most profiles that it may send; 0 for no limit."
)
@json_option
def add(
    name: str,
    destinations: tuple[str, ...],
    certificates: tuple[str, ...],
    profiles_per_second: int | None,
    as_json: bool,
) -> None:
    """Create a key for the source NAME, and the source if there is none; the key is shown only this once.

    A source may have several keys at a time: add one, give it to the sender, revoke the old one.
    """
    with resources() as made:
        for destination in destinations:
            made.destinations.get(destination)
        store = SourceStore(made.redis, made.ring)
        added, key = store.add(name, destinations, certificates=certificates, profiles_per_second=profiles_per_second)
        note(made, "source add", detail=f"{added.name} to {', '.join(added.destinations)}")
    if as_json:
        print_json({"source": added.name, "key": key})
        return
    click.echo(key)
    out.print(
        f"This is the key of {added.name} to {', '.join(added.destinations)}; it is kept nowhere. Send it as "
        "`Authorization: Bearer KEY`, or ask /oauth/token with the name as client id and the key as client secret.",
        markup=False,
    )


@source.command("list")
@json_option
def list_sources(as_json: bool) -> None:
    """List all sources: their keys, what they sent, and when they were last seen."""
    with resources() as made:
        found, locked = SourceStore(made.redis, made.ring).all()
        counted = read_counts(made.redis)
    rows: list[dict[str, Any]] = []
    for one in found:
        counts = counted.sources.get(one.name, SourceCounts())
        rows.append(
            {
                "source": one.name,
                "destinations": list(one.destinations),
                "keys": [{"id": key.id, "created_ms": key.created_at_ms} for key in one.keys],
                "certificates": list(one.certificates),
                "profiles_per_second": one.profiles_per_second,
                "seen_ms": counts.seen_ms,
                "accepted": counts.accepted,
                "excluded": counts.excluded,
                "answers": {str(status): count for status, count in sorted(counts.answers.items())},
            }
        )
    unknown = counted.sources.get("-", SourceCounts()).answers.get(401, 0)
    if as_json:
        print_json({"sources": rows, "locked": locked, "refused_unknown": unknown})
    else:
        _print_sources(rows, unknown)
    check_none_is_locked([f"source {name}" for name in locked])


def _print_sources(rows: list[dict[str, Any]], unknown: int) -> None:
    print_table(
        "",
        ["source", "destinations", "keys", "last seen", "accepted", "excluded", "refused"],
        [
            (
                row["source"],
                ", ".join(row["destinations"]),
                ", ".join(f"{key['id']} ({moment(key['created_ms'])[:10]})" for key in row["keys"]),
                moment(row["seen_ms"]),
                row["accepted"],
                row["excluded"],
                sum(count for status, count in row["answers"].items() if status != "202"),
            )
            for row in rows
        ],
    )
    out.print(f"{unknown:,} requests had no key that is known.")


@source.command()
@click.argument("name")
@click.option("--key", "key_id", help="Only the key of this id.")
@click.option(
    "--tokens",
    is_flag=True,
    help="With --key: revoke all access tokens of the source as well.",
)
def revoke(name: str, key_id: str | None, tokens: bool) -> None:
    """Revoke the source NAME with its keys and access tokens, or one of its keys."""
    if tokens and key_id is None:
        raise UsageError("--tokens needs --key; without --key all tokens of the source end anyway.")
    with resources() as made:
        store = SourceStore(made.redis, made.ring)
        if key_id is None:
            store.revoke(name)
            note(made, "source revoke", detail=name)
            out.print(f"{name} may send no more.", markup=False)
            return
        left = store.revoke_key(name, key_id, tokens=tokens)
        note(made, "source revoke", detail=f"key {key_id} of {name}")
    out.print(f"The key {key_id} of {name} is revoked; {len(left.keys)} left.", markup=False)


@source.command()
def reseal() -> None:
    """Seal all sources with the first key of ACTIVATION_SECRET_KEYS, before an old one is dropped."""
    with resources() as made:
        sources = SourceStore(made.redis, made.ring).reseal()
    out.print(f"{sources.count:,} sources are sealed with the first key.")
    check_none_is_locked([f"source {name}" for name in sources.locked])
