"""Fetches the attribute-set definitions: all pages, then *Email Demographics* by its key if it was missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from app.errors import CallError, DestinationBroken, DestinationUnreachable
from app.sfmc.responses import judge_read

if TYPE_CHECKING:
    from app.sfmc.calls import Calls

_PATH = "/contacts/v1/attributeSetDefinitions"
_PAGE_SIZE = 200
_NOT_SERVED = (400, 404)  # this route or set does not exist; the other one may
_MOST_PAGES = 100  # do not trust a server that always says "more"


def fetch_definitions(cloud: Calls) -> list[dict[str, Any]]:
    """Return every attribute-set definition as Marketing Cloud spells it, including *Email Demographics* if it can be had.

    The list is paged by `$page` and `$pageSize` until `count` sets have come or a page is empty. If that fails, or the list
    lacks the set, the set is requested by its key.

    Raises: `DestinationBroken`; `AccountThrottled`; `DestinationUnreachable`.
    """
    failed: CallError | None = None
    definitions: list[dict[str, Any]] = []
    try:
        definitions = _fetch_pages(cloud)
    except (DestinationBroken, DestinationUnreachable) as error:
        if isinstance(error, DestinationBroken) and error.http_status not in _NOT_SERVED:
            raise
        failed = error
    if not any(_key(definition) == "EmailDemographics" for definition in definitions):
        try:
            definitions.append(_unwrap(cloud.call("GET", f"{_PATH}/key:EmailDemographics", judge_read)))
        except (DestinationBroken, DestinationUnreachable) as error:
            if failed is not None:
                raise failed from error
            if error.http_status not in _NOT_SERVED:
                raise
    return definitions


def _fetch_pages(cloud: Calls) -> list[dict[str, Any]]:
    definitions: list[dict[str, Any]] = []
    gathered = 0
    for page in range(1, _MOST_PAGES + 1):
        answer = cloud.call("GET", f"{_PATH}?$page={page}&$pageSize={_PAGE_SIZE}", judge_read)
        items = answer.get("items")
        if not isinstance(items, list):
            raise DestinationUnreachable("The list of attribute sets came without items.", code="unreadable_answer")
        definitions += [item for item in items if isinstance(item, dict)]
        # count what came: the server may send fewer per page than asked for, or than it claims
        gathered += len(items)
        count = _whole_number(answer.get("count"))
        if not items or count is None or gathered >= count:
            break
    return definitions


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _key(definition: dict[str, Any]) -> Any:
    return definition.get("key") or definition.get("definitionKey")


def _unwrap(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the definition in an answer for a single set: bare, in `item`, or in `attributeSetDefinition`."""
    for name in ("item", "attributeSetDefinition"):
        inner = answer.get(name)
        if isinstance(inner, dict):
            return inner
    return answer
