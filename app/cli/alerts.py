"""Alerts: what is open, what recently happened, what is muted; and testing the channels."""

from __future__ import annotations

from dataclasses import asdict
from secrets import token_hex
from typing import Any

import click

from app.alert_kinds import KINDS
from app.cli.destinations_argument import DESTINATION
from app.cli.report import json_option, moment, note, out, print_json, print_table, resources, rfc3339
from app.errors import UsageError, WorkHasProblems, did_you_mean
from app.reporting.alerts import ANY, Alert, AlertEvent, Mute, What, mute, read_alerts, unmute
from app.reporting.channels import ChannelFailed, channels_of, send

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def alerts(context: click.Context, as_json: bool) -> None:
    """Show open alerts and the newest events; with a subcommand, mute alerts or test the channels."""
    if context.invoked_subcommand is not None:
        return
    with resources() as made:
        found = read_alerts(made.redis)
    if as_json:
        print_json(
            {
                "open": [
                    {
                        **asdict(item.alert),
                        "severity": item.alert.severity,
                        "opened_at": rfc3339(item.opened_ms),
                        "told_at": rfc3339(item.told_ms),
                    }
                    for item in found.open
                ],
                "events": [
                    {"event": event.what, "at": rfc3339(event.at_ms), **asdict(event.alert), "muted": event.muted}
                    for event in found.events
                ],
                "muted": [
                    {"kind": item.kind, "destination": item.destination, "until": rfc3339(item.until_ms)}
                    for item in found.muted
                ],
            }
        )
        return
    for item in found.open:
        where = item.alert.destination or "installation"
        out.print(f"[bold]{item.alert.kind}[/] ", end="")
        out.print(f"{where} since {moment(item.opened_ms)}: {item.alert.text} {item.alert.remedy}", markup=False)
    if not found.open:
        out.print("No alert is open.")
    for muted in found.muted:
        until = f"until {moment(muted.until_ms)}" if muted.until_ms else "for good"
        out.print(f"Muted: {muted.kind} of {muted.destination or 'the installation'} {until}", markup=False)
    print_table(
        "What happened",
        ["time", "event", "kind", "destination"],
        [
            (
                moment(event.at_ms),
                f"{event.what}{' (muted)' if event.muted else ''}",
                event.alert.kind,
                event.alert.destination,
            )
            for event in found.events
        ],
    )


def _kind(_: Any, __: Any, value: str) -> str:
    if value != ANY and value not in KINDS:
        raise UsageError(
            f"There is no kind of alert {value!r}.{did_you_mean(value, KINDS)}",
            remedy="docs/operations.md lists them; * stands for all.",
        )
    return value


def _span(_: Any, __: Any, value: str | None) -> float | None:
    if value is None:
        return None
    unit = _SECONDS.get(value[-1:])
    try:
        seconds = float(value[:-1]) * unit if unit else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise click.BadParameter("write it like 30m, 2h or 1d.")
    return seconds


@alerts.command("mute")
@click.argument("kind", callback=_kind)
@click.argument("destination", default=ANY)
@click.option("--for", "seconds", metavar="TIME", callback=_span, help="Such as 30m, 2h or 1d; without it, for good.")
def mute_command(kind: str, destination: str, seconds: float | None) -> None:
    """Stop telling anybody about alerts of this KIND (* for all), of one DESTINATION or of all."""
    with resources() as made:
        if destination != ANY:
            made.destinations.get(destination)
        until_ms = 0 if seconds is None else made.clock.now_ms() + int(seconds * 1000)
        mute(made.redis, Mute(kind, destination, until_ms))
        note(
            made, "mute alert", destination, detail=f"{kind} {f'until {moment(until_ms)}' if until_ms else 'for good'}"
        )
    out.print(
        f"{kind} of {destination} is muted {f'until {moment(until_ms)}' if until_ms else 'for good'}.", markup=False
    )


@alerts.command("unmute")
@click.argument("kind", callback=_kind)
@click.argument("destination", default=ANY)
def unmute_command(kind: str, destination: str) -> None:
    """End a mute, named as it was given."""
    with resources() as made:
        known = unmute(made.redis, kind, destination)
        if known:
            note(made, "unmute alert", destination, detail=kind)
    if not known:
        raise WorkHasProblems(f"{kind} of {destination} was not muted.", remedy="`activation alerts` lists what is.")
    out.print(f"{kind} of {destination} is told again.", markup=False)


@alerts.command("test")
@click.argument("destination", required=False, type=DESTINATION)
@json_option
def test_command(destination: str | None, as_json: bool) -> None:
    """Send a message to every channel of the settings, and to those of DESTINATION; exit 1 if one does not take it."""
    with resources() as made:
        channels = channels_of(made.settings)
        if destination is not None:
            target = made.destinations.get(destination)
            channels |= {f"{destination}/{number}": channel for number, channel in enumerate(target.alerts)}
        now_ms = made.clock.now_ms()
    if not channels:
        raise WorkHasProblems(
            "No channel is set.", remedy="docs/operations.md tells how: ACTIVATION_ALERT_URL and others."
        )
    alert = Alert("run_started", destination or "", "This is a test of the alert channels.", "Nothing is to be done.")
    rows: list[dict[str, Any]] = []
    for name, channel in channels.items():
        error = ""
        try:
            send(channel, AlertEvent(What.NOTED, now_ms, alert, now_ms), token_hex(8), made.settings)
        except ChannelFailed as refused:
            error = str(refused)
        rows.append({"channel": name, "taken": not error, "error": error})
        if not as_json:
            out.print(f"[red]✘[/] {name}: {error}" if error else f"[green]✔[/] {name}")
    failed = sum(not row["taken"] for row in rows)
    if as_json:
        print_json({"ok": not failed, "channels": rows})
        if failed:
            raise click.exceptions.Exit(1)
    elif failed:
        raise WorkHasProblems(f"{failed} of {len(channels)} channels did not take the message.")
