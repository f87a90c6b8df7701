"""Programs that send messages to the task `activation.enqueue`: their keys, and their messages that could not be received."""

from __future__ import annotations

import base64
from pathlib import Path

import click
import orjson

from app.cli.files import write_private
from app.cli.report import (
    confirm,
    json_option,
    moment,
    note,
    print_done,
    print_json,
    print_table,
    resources,
    with_times,
)
from app.errors import UsageError
from app.reporting.refused import RefusedMessages
from app.sealed_messages import derive_key


@click.command("sender-key")
@click.argument("name")
def sender_key(name: str) -> None:
    """Print the key with which the sender NAME seals its messages (docs/enqueue.md).

    It is derived from the first key of ACTIVATION_SECRET_KEYS, opens nothing that others have sealed, and is valid as long
    as that key stays in the ring.
    """
    with resources() as made:
        click.echo(base64.urlsafe_b64encode(derive_key(made.ring.data_keys[0], name)).decode())


@click.command()
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), help="Write them to FILE as JSON Lines, in clear."
)
@click.option("--discard", is_flag=True, help="Drop them.")
@click.option("--yes", is_flag=True, help="Do not ask before discarding.")
@json_option
def refused(export: Path | None, discard: bool, yes: bool, as_json: bool) -> None:
    """List messages from which no profile could be read, and why; --export shows what was sent."""
    if discard and export is not None:
        raise UsageError("Only one of --discard and --export.", remedy="Export first, then discard.")
    with resources() as made:
        store = RefusedMessages(made)
        found, count = store.all(), store.count()
        if discard:
            if found and not yes:
                confirm(f"{len(found):,} refused messages will be lost. Go on?")
            dropped = store.discard()
            note(made, "discard refused messages", detail=str(dropped))
            print_done(f"{dropped:,} discarded.", {"count": dropped}, as_json=as_json)
        elif export is not None:
            lines = (
                orjson.dumps(
                    with_times(
                        {
                            "id": one.id,
                            "at_ms": one.at_ms,
                            "why": one.why,
                            "length": one.length,
                            "content": None if one.content is None else one.content.decode(errors="replace"),
                        }
                    )
                )
                for one in found
            )
            written = write_private(export, lines)
            note(made, "export refused messages", detail=str(written))
            print_done(f"{written:,} written to {export}.", {"count": written}, as_json=as_json)
        elif as_json:
            rows = [{"id": one.id, "at_ms": one.at_ms, "why": one.why, "length": one.length} for one in found]
            print_json({"count": count, "messages": rows})
        else:
            print_table(
                f"{count:,} messages refused so far, of which {len(found):,} are kept",
                ["time", "why", "bytes"],
                [(moment(one.at_ms), one.why, one.length) for one in found],
            )
