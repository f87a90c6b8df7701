"""The connect form. Its fields are named by their paths in the file, so that each finding can be shown beside its field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml
from yaml.composer import ComposerError

from app.destinations.file import load
from app.destinations.model import Destination
from app.destinations.writing import SECRET_VARIABLE, to_yaml
from app.errors import UsageError

ROW = ("source", "target", "transform")
SEGMENT = ("id", "name", "mapping_id", "namespace", "start", "end")
LIMITS = ("calls_per_minute", "calls_per_year", "max_in_flight", "stop_at_yearly_quota")
ACCOUNT = ("subdomain", "client_id", "account_id", "auth_base_url", "rest_base_url")
_INDEXED = re.compile(r"(mapping|segments)\[(\d{1,4})\]\.([a-z_]+)")
MOST_ITEMS = 2_000
OR = " || "  # between a source and its fallbacks; used only in the form


class _Plain(yaml.BaseLoader):
    """Loads only text, lists and maps. Refuses aliases: a few hundred bytes of them could fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # so in types-PyYAML
            raise ComposerError(None, None, "aliases (*name) are not supported", mark)
        return super().compose_node(parent, index)


def empty() -> dict[str, Any]:
    """Return a new form, with the two rows that every destination has."""
    return {
        "account": {},
        "mapping": [
            {"source": "IdentityMap: contactKey", "target": "Identity: salesforceContactKey"},
            {"source": "xdm: personalEmail.address", "target": "Attribute: Email Addresses.Email Address"},
            {},
        ],
        "segments": [{}],
        "limits": {},
        "options_yaml": "",
        "alerts_yaml": "",
    }


def from_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form for a file's content."""
    form = {
        **empty(),
        **{name: value for name, value in document.items() if name not in ("options", "segments", "alerts")},
    }
    form["segments"] = list(document.get("segments") or [])
    form["mapping"] = [row | {"source": _joined(row.get("source", ""))} for row in form["mapping"]]
    for section in ("options", "alerts"):
        form[f"{section}_yaml"] = to_yaml(document[section]) if document.get(section) else ""
    form["account"] = {key: value for key, value in dict(form["account"] or {}).items() if key != "client_secret"}
    return form


def receiver(account: Mapping[str, Any]) -> list[str]:
    """Return where and for whom an account's client secret is sent; it may go nowhere else. `account`: from a form or file."""
    return [str(account.get(name) or "") for name in ("subdomain", "client_id", "auth_base_url", "rest_base_url")]


def read_document(text: str) -> dict[str, Any]:
    """Return the plain content of a YAML file; other problems are left for the form to show. Raises: `UsageError`."""
    try:
        document = yaml.load(text, Loader=_Plain)  # noqa: S506  # this loader makes no objects
    except (yaml.YAMLError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError(
            "This is no destination file.", remedy="Open a YAML file as `activation connect` takes it, or begin anew."
        )
    for name, kind in (
        ("account", dict),
        ("mapping", list),
        ("segments", list),
        ("limits", dict),
        ("options", dict),
        ("alerts", list),
    ):
        value = document.get(name)
        if value in (None, "") or not isinstance(value, kind):
            document.pop(name, None)
        elif kind is list:
            document[name] = [item for item in value if isinstance(item, dict)][:MOST_ITEMS]
    return document


def from_fields(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the form that a browser sent."""
    form: dict[str, Any] = {"account": {}, "limits": {}, "options_yaml": "", "alerts_yaml": ""}
    lists: dict[str, dict[int, dict[str, str]]] = {"mapping": {}, "segments": {}}
    for name, raw in fields:
        value = raw.strip()
        if found := _INDEXED.fullmatch(name):
            lists[found[1]].setdefault(int(found[2]), {})[found[3]] = value
        elif name in ("options_yaml", "alerts_yaml"):
            form[name] = raw.replace("\r\n", "\n")
        elif name in ("id", "name", "description"):
            form[name] = value
        elif name.startswith(("account.", "limits.")):
            section, _, key = name.partition(".")
            form[section][key] = value
    for name, items in lists.items():
        form[name] = [items[number] for number in sorted(items)][:MOST_ITEMS]
    return form


def to_document(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file content for a form, without empty fields and rows. Raises: `UsageError` for a part that is no YAML."""
    made: dict[str, Any] = {"id": form.get("id", ""), "name": form.get("name", "")}
    if form.get("description"):
        made["description"] = form["description"]
    account = {key: form["account"].get(key, "") for key in ACCOUNT if form["account"].get(key)}
    made["account"] = {**account, "client_secret": f"${{{SECRET_VARIABLE}}}"}
    rows = [row | {"source": _apart(row.get("source", ""))} for row in form["mapping"]]
    made["mapping"] = [_filled(row, ROW) for row in rows if _filled(row, ROW)]
    if segments := [_filled(item, SEGMENT) for item in form["segments"] if _filled(item, SEGMENT)]:
        made["segments"] = segments
    if limits := _filled(form["limits"], LIMITS):
        made["limits"] = limits
    if form["options_yaml"].strip():
        made["options"] = _typed(form["options_yaml"], dict)
        if made["options"] is None:
            problem = "options: must hold names and values, such as `html_enabled: always`."
            raise UsageError("A problem.", problems=(problem,))
    if form["alerts_yaml"].strip():
        made["alerts"] = _typed(form["alerts_yaml"], list)
        if made["alerts"] is None:
            raise UsageError("A problem.", problems=("alerts: must be a list, such as `- email: ops@example.com`.",))
    return made


def _typed(text: str, kind: type) -> Any:
    """Return the content of a part written as YAML; None if it is not of this kind."""
    try:
        found = yaml.load(text, Loader=_Plain)  # noqa: S506  # as above
    except (yaml.YAMLError, RecursionError):
        return None
    return found if isinstance(found, kind) else None


def _joined(source: Any) -> str:
    return OR.join(map(str, source)) if isinstance(source, list) else str(source)


def _apart(source: str) -> str | list[str]:
    found = [part.strip() for part in source.split(OR.strip()) if part.strip()]
    return found if len(found) > 1 else source


def _filled(item: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: item[name] for name in names if item.get(name)}


def places(form: Mapping[str, Any]) -> dict[str, str]:
    """Return the path in the form for each path in the file, which lacks the empty rows."""
    found = {}
    for section, names in (("mapping", ROW), ("segments", SEGMENT)):
        number = 0
        for place, item in enumerate(form[section]):
            if _filled(item, names):
                found[f"{section}[{number}]"] = f"{section}[{place}]"
                number += 1
    return found


def as_destination(
    form: Mapping[str, Any],
    *,
    secret: str,
    allow_local_hosts: bool,
    local_names: frozenset[str],
    connected: Callable[[str], Destination | None],
) -> Destination:
    """Return the destination that the form describes. Reads no variable of this process.

    Raises: `UsageError` with a line for each problem, like the command for a file.
    """
    return load(
        to_yaml(to_document(form)),
        environ={SECRET_VARIABLE: secret or "-"},
        allow_local_hosts=allow_local_hosts,
        local_names=local_names,
        connected=connected,
    )


def sort_problems(problems: Iterable[tuple[str, str]], form: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Split problems, given as (path in the file, text), into those of a field, by path in the form, and all others."""
    known = places(form)
    fields: dict[str, str] = {}
    others: list[str] = []
    for path, text in problems:
        item, dot, rest = path.partition(".")
        place = f"{known.get(item, item)}{dot}{rest}"
        if (
            _INDEXED.fullmatch(place)
            or place in ("id", "name", "description")
            or place.startswith(("account.", "limits."))
        ):
            fields[place] = f"{fields[place]} {text}" if place in fields else text
        else:
            others.append(f"{place}: {text}")
    return fields, others


def split(problem: str) -> tuple[str, str]:
    """Split a line of `UsageError.problems` into path and text."""
    path, _, text = problem.partition(": ")
    return path, text
