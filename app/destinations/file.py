"""Reads a destination file: YAML, `${VARIABLES}` from the environment, and all problems at once.

Every YAML scalar is read as text, so `no` stays a word, `0123` keeps its zero and a date needs no quotes; the schema then
says what each text must be. Only null is special. Nothing is evaluated.

Variables are allowed only in the account and in the secrets of alert channels: everything else in a file is displayed or
sent to contacts, and whoever writes a file does not own the environment that it is read in. The variable of the client
secret may be used for nothing else: in the console it stands for the connected secret, which nobody may see. Variables of
this product, above all its sealing keys, are allowed in no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

import yaml
from marshmallow import ValidationError
from yaml.composer import ComposerError
from yaml.events import AliasEvent
from yaml.reader import ReaderError

from app.destinations.channels import names_connected, put_back
from app.destinations.fields import naming_local
from app.destinations.model import Destination
from app.destinations.schema import DESTINATION
from app.destinations.writing import SECRET_VARIABLE, VARIABLE
from app.errors import UsageError
from app.settings import PREFIX

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CHANNEL_SECRETS = ("webhook", "slack", "secret")  # of an alert channel
_NULL = "tag:yaml.org,2002:null"


def load(
    text: str,
    *,
    environ: Mapping[str, str],
    allow_local_hosts: bool,
    where: str = "file",
    local_names: frozenset[str] = frozenset(),
    connected: Callable[[str], Destination | None] = lambda _: None,
) -> Destination:
    """Return the destination that a file's text describes.

    `environ`: values for `${NAME}` in `account` and alert secrets; `$${NAME}` becomes `${NAME}` everywhere.
    `local_names`: hosts that count as local besides loopback.
    `connected`: returns the connected destination with an id, for alert channels that keep their values
      (`app.destinations.channels`).

    Raises: `UsageError`, with one line per problem in `problems`: its path in the file, what is wrong, what to do. No line
    quotes a value.
    """
    try:
        raw, twice = _read_yaml(text)
    except (yaml.MarkedYAMLError, ReaderError) as error:
        raise UsageError(f"{where} is not valid YAML.", problems=(_yaml_problem(text, error),)) from None
    if not isinstance(raw, dict):
        raise UsageError(
            f"{where} holds no destination.",
            problems=("top level: must hold names and values, such as `id: spring-campaign`.",),
        )
    unset: dict[str, str] = {}
    filled = _fill_in(raw, (), environ, unset)
    if names_connected(filled.get("alerts")):
        former = connected(str(filled.get("id", "")).strip())
        filled["alerts"], kept = put_back(filled["alerts"], () if former is None else former.alerts)
        unset |= kept
    problems = dict.fromkeys([*twice, *(f"{path}: {problem}" for path, problem in unset.items())])
    destination: Destination | None = None
    found: list[tuple[str, str]] = []
    try:
        with naming_local(local_names):
            destination = DESTINATION.load(filled)
    except ValidationError as error:
        found = list(_flatten(error.messages, ""))
    if not allow_local_hosts:
        found = _refuse_local_hosts(filled, found)
    problems |= dict.fromkeys(f"{path or 'top level'}: {problem}" for path, problem in found if path not in unset)
    if problems or destination is None:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise UsageError(f"{where} has {count}.", problems=tuple(problems))
    return destination


_KINDS: dict[type[yaml.Node], tuple[str, ...]] = {
    yaml.ScalarNode: ("tag:yaml.org,2002:str", _NULL),
    yaml.SequenceNode: ("tag:yaml.org,2002:seq",),
    yaml.MappingNode: ("tag:yaml.org,2002:map",),
}
_MOST_DEPTH = 20
_LONGEST_NAME = 100


class _Loader(yaml.SafeLoader):
    """Safe YAML with all scalars as text.

    It notes duplicate names, and refuses aliases (which could explode), tags, excessive depth and invalid characters.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]  # so in types-PyYAML
            raise ComposerError(None, None, "aliases (*name) are not supported", mark)
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # so in types-PyYAML
            raise ComposerError(None, None, f"there are more than {_MOST_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node.tag not in _KINDS[type(node)]:
            raise ComposerError(None, None, "tags (!name) are not supported", node.start_mark)
        if isinstance(node, yaml.ScalarNode) and any("\ud800" <= character <= "\udfff" for character in node.value):
            raise ComposerError(None, None, "\\ud800 to \\udfff are no characters", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # PyYAML's name
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                first = lines.get(key.value)
                if first is not None:
                    self.twice.append(
                        f"line {line}: {_inside('', key.value)} is given twice, first in line {first}. Remove one."
                    )
                lines.setdefault(key.value, line)
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> tuple[Any, list[str]]:
    loader = _Loader(text)
    try:
        return loader.get_single_data(), loader.twice
    finally:
        loader.dispose()


def _yaml_problem(text: str, error: yaml.MarkedYAMLError | ReaderError) -> str:
    """Say where and what, without PyYAML's excerpt, which may hold the secret."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"line {line}: a character that YAML does not allow. Save the file as plain text in UTF-8."
    mark = error.problem_mark or error.context_mark
    at = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "somewhere"
    hint = ""
    if error.problem == "mapping values are not allowed here" or (error.problem or "").endswith("but got ':'"):
        hint = ' Quote a value that holds a colon, such as "xdm: person.name.firstName".'
    elif error.problem and "\\t" in error.problem:
        hint = " Indent with spaces, not with tabs."
    return f"{at}: {error.problem or error.context}.{hint}"


def _fill_in(value: Any, path: tuple[str | int, ...], environ: Mapping[str, str], unset: dict[str, str]) -> Any:
    """Return `value` with its variables replaced; add a problem to `unset` for each path whose variable cannot be."""
    match value:
        case dict():
            return {key: _fill_in(item, (*path, key), environ, unset) for key, item in value.items()}
        case list():
            return [_fill_in(item, (*path, number), environ, unset) for number, item in enumerate(value)]
        case str():
            return VARIABLE.sub(lambda found: _variable(found, path, environ, unset), value)
    return value


def _variable(
    found: re.Match[str], path: tuple[str | int, ...], environ: Mapping[str, str], unset: dict[str, str]
) -> str:
    escape, name = found.groups()
    if escape:
        return f"${{{name}}}"
    if path[:1] != ("account",) and not (path[:1] == ("alerts",) and path[-1] in CHANNEL_SECRETS):
        fault = (
            "variables are for values of account, and for addresses and secrets of alerts. "
            "Write the value here, or $${ for a plain ${."
        )
    elif name == SECRET_VARIABLE and path != ("account", "client_secret"):
        fault = f"{SECRET_VARIABLE} stands for the client secret alone; whoever sees this value would see it. Write the value here."
    elif not _VARIABLE_NAME.fullmatch(name):
        fault = "${…} holds no name of a variable. Write $${ for a plain ${."
    elif name.startswith(PREFIX):
        fault = f"variables that begin with {PREFIX} are for no file. Name one that holds this value alone."
    elif name not in environ:
        fault = f"the environment variable {name[:100]} is not set. Set it, or write the value here."
    elif not environ[name].strip().isprintable():
        fault = f"the environment variable {name[:100]} holds what is no printable text. Set it anew."
    else:
        return environ[name]
    unset[_place(path)] = fault
    return ""


def _place(path: tuple[str | int, ...]) -> str:
    """Write a path in the file, such as `mapping[0].source`."""
    return reduce(_inside, path, "")


def _inside(place: str, step: str | int | None) -> str:
    """Append a step to a place. A name in the file may be of any length, and may contain a terminal's control characters."""
    if isinstance(step, int):
        return f"{place}[{step}]"
    name = "".join(character if character.isprintable() else "\ufffd" for character in str(step)[:_LONGEST_NAME])
    return f"{place}.{name}" if place else name


def _flatten(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield marshmallow's nested messages as (path in the file, text)."""
    match messages:
        case dict():
            for key, inner in messages.items():
                if key == "_schema":
                    yield from _flatten(inner, path)
                else:
                    yield from _flatten(inner, _inside(path, key))
        case list():
            for inner in messages:
                yield from _flatten(inner, path)
        case _:
            yield path, str(messages)


def _refuse_local_hosts(filled: dict[str, Any], found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Replace the problems of base URLs by one refusal, since local hosts are not allowed here."""
    account = filled.get("account")
    given = [name for name in ("auth_base_url", "rest_base_url") if isinstance(account, dict) and name in account]
    if not given:
        return found
    text = (
        "is for local hosts only, and they are not allowed here. Salesforce's hosts are derived from "
        "account.subdomain. Remove it, or set ACTIVATION_ALLOW_LOCAL_HOSTS=1 to use the sandbox."
    )
    paths = ("account.auth_base_url", "account.rest_base_url")
    return [item for item in found if item[0] not in paths] + [(f"account.{name}", text) for name in given]
