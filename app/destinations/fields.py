"""The kinds of values in a destination file, as marshmallow fields: text, numbers, the notation of sources and targets.

Every scalar arrives as text (see `app.destinations.file`). No message quotes a value, since any value may be a secret in
the wrong place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError, fields, validate

from app.destinations.model import Source, Target
from app.mapping.paths import why_not
from app.names import nearest

_NO_NAMESPACE = re.compile(r"[(){}\[\]|*?]")
_QUOTED_ATTRIBUTE = re.compile(r"""(?P<set>[^.\[\]]+)\[(?:'(?P<single>[^']+)'|"(?P<double>[^"]+)")\]""")
_SALESFORCE_HOST = re.compile(
    r"(?:https?://)?([a-z0-9-]+)\.(?:auth|rest|soap|login)\.(?:marketingcloudapis|exacttarget)\.com(?:/.*)?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all except tab and newline
_URL_PATH = re.compile(r"[A-Za-z0-9_./~-]*")


def likely(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known word that was probably meant, or else all of them."""
    words = tuple(known)
    near = nearest(word, words)
    return f" Did you mean {near}?" if near is not None else f" Known are {', '.join(words)}."


def read_text(value: Any, *, not_text: str = "must be text.") -> str:
    """Return the text without surrounding space. Raises: `ValidationError`, also if nothing is left."""
    if not isinstance(value, str):
        raise ValidationError(not_text)
    text = value.strip()
    if not text:
        raise ValidationError("is empty. Give a value or remove the line.")
    if _CONTROL.search(text):
        raise ValidationError("holds a control character. Was something else pasted along?")
    return text


class Text(fields.String):
    default_error_messages = {"required": "is missing.", "null": "is empty. Give a value or remove the line."}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        return read_text(value)


class Subdomain(Text):
    """The first part of the account's host, in any case, or a URL copied from Marketing Cloud that contains it."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = read_text(value).lower()
        pasted = _SALESFORCE_HOST.fullmatch(text)
        return pasted[1] if pasted else text


class Whole(fields.Integer):
    default_error_messages = {"invalid": "must be a whole number.", "null": "must be a whole number."}


class Switch(fields.Boolean):
    default_error_messages = {"invalid": "must be true or false.", "null": "must be true or false."}


class Day(fields.Date):
    default_error_messages = {"invalid": "must be a date such as 2026-12-31."}


def one_of(*choices: str, default: str) -> Text:
    return Text(load_default=default, validate=validate.OneOf(choices, error=f"must be one of {', '.join(choices)}."))


def between(least: int, most: int | None, *, default: int) -> Whole:
    text = f"must be between {least:,} and {most:,}." if most else f"must be at least {least:,}."
    return Whole(load_default=default, validate=validate.Range(least, most, error=text))


def _read_source(value: Any) -> Source:
    not_text = 'must be text in quotes, such as "xdm: person.name.firstName".'
    kind, _colon, name = read_text(value, not_text=not_text).partition(":")
    name = name.strip()
    if "(" in kind:
        raise ValidationError(why_not(kind))
    if not name:
        raise ValidationError('says no source. Write "IdentityMap: NAMESPACE", "xdm: PATH.TO.FIELD" or "const: TEXT".')
    match kind.strip().lower():
        case "identitymap":
            if _NO_NAMESPACE.search(name):
                raise ValidationError("is no namespace. Write its identity symbol alone, such as IdentityMap: ECID.")
            return Source("identity", name)
        case "const":
            return Source("const", name)
        case "xdm":
            if problem := why_not(name):
                raise ValidationError(problem)
            return Source("xdm", name)
    raise ValidationError(f"has an unknown kind of source.{likely(kind, ('IdentityMap', 'xdm', 'const'))}")


class SourceText(fields.Field[Source]):
    """`IdentityMap: namespace`, `xdm: a.b[0].c` or `const: text`; the first word in any case."""

    default_error_messages = {"required": "is missing.", "null": "is empty."}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Source:
        return _read_source(value)


class SourcesText(fields.Field[tuple[Source, ...]]):
    """One source, or a list of which the first that has a value counts."""

    default_error_messages = {"required": "is missing.", "null": "is empty."}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[Source, ...]:
        if not isinstance(value, list):
            return (_read_source(value),)
        if not value:
            raise ValidationError("is an empty list. Give one source or several.")
        found: list[Source] = []
        problems: dict[int, list[str]] = {}
        for number, item in enumerate(value):
            try:
                source = _read_source(item)
            except ValidationError as problem:
                problems[number] = [str(message) for message in problem.messages]
                continue
            if any(_same(source, other) for other in found):
                problems[number] = ["is in the list already. Remove one of them."]
            elif any(other.kind == "const" for other in found):
                problems[number] = ["can never count: a constant before it always has a value. Put the constant last."]
            found.append(source)
        if problems:
            raise ValidationError(problems)
        return tuple(found)


def _same(one: Source, other: Source) -> bool:
    fold = one.kind == "identity" == other.kind
    return (one.name.casefold() == other.name.casefold()) if fold else one == other


class TargetText(fields.Field[Target]):
    """`Identity: salesforceContactKey` or `Attribute: SET NAME.ATTRIBUTE NAME`; the set's name ends at the first dot.

    An attribute whose name begins or ends with a space is quoted: `Attribute: SET NAME[' NAME ']`.
    """

    default_error_messages = {"required": "is missing.", "null": "is empty."}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Target:
        not_text = 'must be text in quotes, such as "Attribute: Email Demographics.First Name".'
        kind, _colon, name = read_text(value, not_text=not_text).partition(":")
        name = name.strip()
        match kind.strip().lower():
            case "identity" if name == "salesforceContactKey":
                return Target("contact_key")
            case "identity":
                raise ValidationError(
                    "names an unknown identity. The only one is salesforceContactKey, spelt exactly so."
                )
            case "attribute":
                if quoted := _QUOTED_ATTRIBUTE.fullmatch(name):
                    return Target("attribute", quoted["set"].strip(), quoted["single"] or quoted["double"])
                set_name, _dot, attribute = (part.strip() for part in name.partition("."))
                if set_name and attribute:
                    return Target("attribute", set_name, attribute)
                raise ValidationError(
                    "names no attribute. Write the set, a dot and the attribute: "
                    '"Attribute: Email Demographics.First Name".'
                )
        raise ValidationError(
            'says no target. Write "Identity: salesforceContactKey" or "Attribute: SET NAME.ATTRIBUTE NAME".'
        )


class LocalUrl(Text):
    """A base URL on this machine; `app.destinations.file` decides whether local hosts are allowed at all."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = read_text(value)
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            raise ValidationError("is no URL.") from None
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValidationError("must be a URL that begins with http:// or https://.")
        if not _is_loopback(url):
            raise ValidationError(
                "names a host that is not this machine. Remove it: Salesforce's hosts are derived from "
                "account.subdomain."
            )
        if url.username is not None or url.query or url.fragment or not _URL_PATH.fullmatch(url.path):
            raise ValidationError("must be a host, a port and perhaps a path, nothing else.")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return f"{url.scheme}://{host}{f':{port}' if port is not None else ''}{url.path}".rstrip("/")


def check_alert_url(value: str) -> None:
    """Check a URL to which alerts are posted: https, or plain http on this machine. Raises: `ValidationError`."""
    try:
        url = urlsplit(value)
        _ = url.port  # reading it validates it
        (url.hostname or "").encode("idna")
        encrypted = url.scheme == "https" or (url.scheme == "http" and _is_loopback(url))
    except ValueError:
        raise ValidationError("is no URL.") from None
    if not encrypted or not url.hostname:
        raise ValidationError("must be a URL that begins with https://.")


_local_names: ContextVar[frozenset[str]] = ContextVar("_local_names", default=frozenset())


@contextmanager
def naming_local(names: frozenset[str]) -> Iterator[None]:
    """Treat these hosts as this machine within the block: other containers of one composition."""
    token = _local_names.set(names)
    try:
        yield
    finally:
        _local_names.reset(token)


def _is_loopback(url: SplitResult) -> bool:
    if url.hostname == "localhost" or url.hostname in _local_names.get():
        return True
    try:
        return ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False
