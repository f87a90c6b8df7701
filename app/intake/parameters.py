"""Reads a request's query: `backfill`, `occurred_at`, `job`. Others are ignored, since a platform adds its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app.errors import RequestRefused
from app.ids import JOB_ID
from app.moments import parse_time, read_epoch_ms

MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request. `job`: None for the source's own job of this hour."""

    backfill: bool = False
    occurred_at_ms: int | None = None
    job: str | None = None


NONE = Parameters()


class _Time(fields.Field[int]):
    """RFC 3339 text or epoch milliseconds, loaded as epoch milliseconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        text = str(value)
        try:
            epoch_ms = read_epoch_ms(text)
            # a plus sign in a query means a space
            return parse_time(text.replace(" ", "+")) if epoch_ms is None else epoch_ms
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Query(Schema):
    class Meta:
        unknown = EXCLUDE

    backfill = fields.Boolean(load_default=False, error_messages={"invalid": "neither true nor false"})
    occurred_at = _Time(load_default=None)
    job = fields.String(load_default=None, validate=validate.Regexp(JOB_ID.whole, error=JOB_ID.must))


_QUERY = _Query()


def read_parameters(query: bytes) -> Parameters:
    """Read a query. Raises: `RequestRefused`."""
    if not query:
        return NONE
    try:
        given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        loaded = _QUERY.load(given)
    except ValidationError as error:
        messages: Any = error.messages
        problems = "; ".join(f"{name}: {texts[0]}" for name, texts in sorted(messages.items()))
        raise _refused(f"The query is wrong: {problems}.") from None
    except ValueError:
        raise _refused(f"The query has more than {MOST_FIELDS} parameters.") from None
    return Parameters(loaded["backfill"], loaded["occurred_at"], loaded["job"])


def _refused(text: str) -> RequestRefused:
    return RequestRefused(text, status=400, code="wrong_query")
