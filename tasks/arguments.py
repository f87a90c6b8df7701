"""The arguments of `activation.enqueue` and `activation.deliver`, checked before anything is done with them.

They come from other programs. An error names our own arguments only and never quotes what was sent: even an unknown
argument's name might be part of a profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.errors import UsageError
from app.ids import DESTINATION_ID, JOB_ID
from app.keys import LANES
from app.moments import read_moment
from app.sealed_messages import PREFIX, open_message

if TYPE_CHECKING:
    from app.resources import Resources

ORDER = ("destination", "profiles", "job_id", "occurred_at", "backfill", "force")
MOST_PROFILES = 100_000
_SEALED = frozenset({"profiles", "sealed_at", "job_id", "occurred_at", "backfill", "force"})
_REMEDY = "Fix the sender; docs/enqueue.md names every argument. `activation refused` shows what it sent."
_WAKE_UP_REMEDY = "Nothing is lost. Wake-ups are sent by this product alone: find what else sends them, and end it."


class _Flag(fields.Field[bool]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class _Time(fields.Field[int]):
    """RFC 3339 text or epoch milliseconds, loaded as epoch milliseconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        try:
            return read_moment(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Profiles(fields.Field[Any]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, str) and value.startswith(PREFIX):
            return value
        if not isinstance(value, list):
            raise ValidationError("must be a list of profiles, or a sealed text")
        if len(value) > MOST_PROFILES:
            raise ValidationError(f"are more than {MOST_PROFILES:,}")
        return value


def _job_id() -> fields.String:
    return fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.Regexp(JOB_ID.whole, error=JOB_ID.must),
        error_messages={"invalid": "must be text", "invalid_utf8": "must be text"},
    )


class _EnqueueArguments(Schema):
    class Meta:
        unknown = RAISE

    destination = fields.String(
        required=True,
        validate=validate.Regexp(DESTINATION_ID.whole, error=DESTINATION_ID.must),
        error_messages={"required": "is missing", "null": "is missing", "invalid": "must be text"},
    )
    profiles = _Profiles(required=True, error_messages={"required": "are missing", "null": "are missing"})
    job_id = _job_id()
    occurred_at = _Time(allow_none=True, load_default=None)
    backfill = _Flag(load_default=False, error_messages={"null": "must be true or false"})
    force = _Flag(load_default=False, error_messages={"null": "must be true or false"})


_ARGUMENTS = _EnqueueArguments()


@dataclass(frozen=True, slots=True)
class EnqueueArguments:
    destination: str
    profiles: list[Any]
    job_id: str | None
    occurred_at: int | None
    backfill: bool
    force: bool


def read_arguments(args: Sequence[Any], kwargs: dict[str, Any], resources: Resources) -> EnqueueArguments:
    """Read the arguments of `activation.enqueue`, by position or by name, clear or sealed.

    Raises: `UsageError` for wrong arguments, and for clear profiles where the installation takes sealed ones only.
    """
    if len(args) > len(ORDER):
        raise UsageError("It has too many arguments.", remedy=_REMEDY)
    given = dict(zip(ORDER, args, strict=False))
    if given.keys() & kwargs.keys():
        raise UsageError("An argument is given twice, by position and by name.", remedy=_REMEDY)
    loaded = _load(given | kwargs)
    if isinstance(loaded["profiles"], str):
        loaded |= _open(loaded, resources)
    elif resources.settings.clear_messages == "refuse":
        raise UsageError(
            "profiles: come in clear, and this installation takes sealed ones only.",
            remedy="Seal them with the key that `activation sender-key NAME` prints; docs/enqueue.md shows how.",
        )
    return EnqueueArguments(**loaded)


def check_wake_up(destination: object, lane: object, wake_up_token: object) -> None:
    """Check the arguments of `activation.deliver`; the text "4" is not lane 4. Raises: `UsageError`."""
    if not DESTINATION_ID.allows(destination):
        raise UsageError(f"destination: {DESTINATION_ID.must}.", remedy=_WAKE_UP_REMEDY)
    if type(lane) is not int or not 0 <= lane < LANES:  # True is a number, too
        raise UsageError(f"lane: is no whole number from 0 to {LANES - 1}.", remedy=_WAKE_UP_REMEDY)
    if not isinstance(wake_up_token, str):
        raise UsageError("wake_up_token: is no text.", remedy=_WAKE_UP_REMEDY)


def _load(document: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = _ARGUMENTS.load(document)
    except ValidationError as error:
        messages: Any = error.messages
        known = [name for name in ORDER if name in messages]
        problems = [f"{name}: {_first(messages[name])}" for name in known]
        if len(known) < len(messages):
            problems.append(f"an argument is none of {', '.join(ORDER)}")
        raise UsageError("; ".join(problems) + ".", remedy=_REMEDY) from None
    return loaded


def _open(loaded: dict[str, Any], resources: Resources) -> dict[str, Any]:
    """Return the arguments inside the sealed text; they replace those outside it."""
    document = open_message(loaded["profiles"], loaded["destination"], resources.ring.data_keys)
    sealed_at = document.get("sealed_at")
    if not document.keys() <= _SEALED or isinstance(sealed_at, bool) or not isinstance(sealed_at, int):
        raise UsageError("profiles: the sealed document lacks sealed_at or has unknown members.", remedy=_REMEDY)
    inner = _load({"destination": loaded["destination"], **{k: v for k, v in document.items() if k != "sealed_at"}})
    if isinstance(inner["profiles"], str):
        raise UsageError("profiles: the sealed document holds no list of profiles.", remedy=_REMEDY)
    inner["occurred_at"] = sealed_at if inner["occurred_at"] is None else inner["occurred_at"]
    return inner


def _first(messages: Any) -> str:
    return str(messages[0]) if isinstance(messages, list) else "is wrong"
