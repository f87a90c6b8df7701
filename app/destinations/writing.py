"""Writes a destination as the text of its file, from which `app.destinations.file` reads the same destination. Pure.

The client secret is never written; a variable replaces it. Nor are addresses and secrets of alert channels: a placeholder
keeps the connected value (`app.destinations.channels`).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from app.destinations.channels import describe
from app.destinations.model import Limits, Options
from app.mapping.paths import spell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.destinations.model import AlertChannel, Destination, MappingRow

VARIABLE = re.compile(r"(\$?)\$\{([^}]*)\}")  # `${NAME}`, or escaped `$${NAME}`
SECRET_VARIABLE = "SFMC_CLIENT_SECRET"  # noqa: S105  # its name, not its value


def document(destination: Destination, *, connected: Sequence[AlertChannel] | None = None) -> dict[str, Any]:
    """Return the content of the file, without values that have their defaults.

    `connected`: the connected alert channels, if other than these.
    """
    account = destination.account
    made: dict[str, Any] = {"id": destination.id, "name": destination.name}
    if destination.description:
        made["description"] = destination.description
    made["account"] = {
        "subdomain": account.subdomain,
        "client_id": account.client_id,
        "client_secret": f"${{{SECRET_VARIABLE}}}",
        **({"account_id": account.account_id} if account.account_id else {}),
        **({"auth_base_url": account.auth_base_url, "rest_base_url": account.rest_base_url} if account.local else {}),
    }
    made["mapping"] = [
        {
            "source": _sources(row),
            "target": str(row.target),
            **({"transform": row.transform} if row.transform else {}),
        }
        for row in destination.mapping
    ]
    if destination.segments:
        made["segments"] = [
            {
                "id": segment.id,
                **({"namespace": segment.namespace} if segment.namespace != "ups" else {}),
                **({"name": segment.name} if segment.name else {}),
                "mapping_id": segment.mapping_id,
                **({"start": segment.start.isoformat()} if segment.start else {}),
                **({"end": segment.end.isoformat()} if segment.end else {}),
            }
            for segment in destination.segments
        ]
    if limits := _changed(asdict(destination.limits), asdict(Limits())):
        made["limits"] = limits
    if options := _changed(asdict(destination.options), asdict(Options())):
        if consent := options.get("consent"):
            options["consent"] = {"source": f"xdm: {spell(consent['path'])}", "allowed": list(consent["allowed"])}
        made["options"] = options
    if destination.alerts:
        made["alerts"] = describe(destination.alerts, destination.alerts if connected is None else connected)
    escaped: dict[str, Any] = _escaped(made)
    return escaped


def _sources(row: MappingRow) -> str | list[str]:
    found = [str(source) for source in row.sources]
    return found if len(found) > 1 else found[0]


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != defaults[name]}


def _escaped(value: Any, *, secret: bool = False) -> Any:
    """Escape text that looks like a variable, except in the secret."""
    match value:
        case dict():
            return {key: _escaped(item, secret=key == "client_secret") for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
        case str() if not secret:
            return VARIABLE.sub(r"$\g<0>", value)
    return value


class _Dumper(yaml.SafeDumper):
    """Indents lists under their name."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # as PyYAML calls it
        super().increase_indent(flow, False)


def to_yaml(made: dict[str, Any]) -> str:
    return yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def as_file(destination: Destination) -> str:
    """Return the text of the file."""
    return to_yaml(document(destination))


def diff(before: Destination | None, after: Destination) -> list[str]:
    """Return a unified diff between two destinations' files; everything is new if there was none before."""
    old = [] if before is None else as_file(before).splitlines()
    new = to_yaml(document(after, connected=() if before is None else before.alerts)).splitlines()
    return list(difflib.unified_diff(old, new, "connected", "new", n=3, lineterm=""))[2:]
