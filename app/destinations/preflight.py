"""The preflight: finds everything that can be wrong with a destination before the first call is spent on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from app.destinations import catalogs
from app.errors import AccountThrottled, CallError, DestinationUnreachable
from app.mapping.catalog import DEMOGRAPHICS
from app.mapping.problems import Problem, find_problems, has_error

if TYPE_CHECKING:
    from app.destinations.model import Destination, Limits
    from app.mapping.catalog import Catalog
    from app.sfmc import MarketingCloud
    from app.sfmc.tokens import Tested

# PATCH of a contact needs both, reading the definitions the first.
SCOPES = ("list_and_subscribers_read", "list_and_subscribers_write")
# Salesforce's thresholds for profile attributes: more than 50 is aggressive, more than 100 extreme, 200 the maximum.
_MANY, _EXTREME, _NEAR_END, _END = 50, 100, 180, 200
_EXPIRES_WITHIN = timedelta(days=14)
_MINUTES_A_DAY = 1440
_SHORT_QUOTA_DAYS = 30


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a preflight found.

    Problems of level `error` stop deliveries. `catalog`: the current definitions; None if they could not be fetched.
    """

    problems: tuple[Problem, ...]
    catalog: Catalog | None = None

    @property
    def ok(self) -> bool:
        return not has_error(self.problems)


def preflight(destination: Destination, client: MarketingCloud, *, now_ms: int, new_token: bool = False) -> Preflight:
    """Ask the account itself about credentials, scopes, definitions, and whether the mapping fits them. Nothing is stored.

    Without a token nothing else is asked. `new_token`: request one even if the shared one is a few minutes old at most.

    Raises: `DestinationUnreachable` or `AccountThrottled` if the account cannot be asked now, which says nothing about the
    destination.
    """
    try:
        tested = client.test_connection(SCOPES, anew=new_token)
    except (DestinationUnreachable, AccountThrottled):
        raise
    except CallError as error:
        return Preflight((_of_call(error, "account"),))
    problems = [*_age_problems(tested), *_scope_problems(tested.token.scopes)]
    found: Catalog | None = None
    try:
        found = catalogs.fetch(client, now_ms)
    except (DestinationUnreachable, AccountThrottled):
        raise
    except CallError as error:
        if not (error.code == "missing_scope" and has_error(problems)):
            problems.append(_of_call(error, "attribute-set definitions"))
    problems += find_problems(destination, found)
    if found is not None:
        problems += _size_problems(found)
    problems += _sharing_problems(destination)
    problems += _date_problems(destination, datetime.fromtimestamp(now_ms / 1000, UTC).date())
    problems += _quota_problems(destination.limits)
    return Preflight(tuple(problems), found)


def _of_call(error: CallError, where: str) -> Problem:
    return Problem("error", where, f"{error} ({error.code})", error.remedy)


def _age_problems(tested: Tested) -> Iterator[Problem]:
    if tested.throttled is not None:
        yield Problem(
            "warning",
            "account",
            f"{tested.throttled} The token in use was tested instead of a new one.",
            "Check again later: it may have outlived the client secret and permissions that it was granted for.",
        )


def _scope_problems(scopes: frozenset[str]) -> Iterator[Problem]:
    if not scopes:
        yield Problem(
            "warning",
            "account",
            "The token does not say which scopes it has.",
            f"Make sure that the installed package has {' and '.join(SCOPES)}.",
        )
        return
    for scope in SCOPES:
        if scope not in scopes:
            yield Problem(
                "error",
                "account",
                f"The installed package lacks the scope {scope} (missing_scope).",
                "Add it in Setup > Apps > Installed Packages; it may take 5 minutes to show.",
            )


def _size_problems(found: Catalog) -> Iterator[Problem]:
    count = sum(
        attribute.set_name == DEMOGRAPHICS and not attribute.is_primary_key for attribute in found.attributes.values()
    )
    if count >= _NEAR_END:
        text = f"The account has {count} profile attributes of {_END} that it may have."
    elif count > _EXTREME:
        text = f"The account has {count} profile attributes; Salesforce calls more than {_EXTREME} extreme."
    elif count > _MANY:
        text = f"The account has {count} profile attributes; Salesforce calls more than {_MANY} aggressive."
    else:
        return
    yield Problem("warning", DEMOGRAPHICS, text, "Remove attributes that nothing uses any more.")


def _sharing_problems(destination: Destination) -> Iterator[Problem]:
    counts = Counter(segment.mapping_id for segment in destination.segments)
    first = {segment.mapping_id: number for number, segment in reversed(list(enumerate(destination.segments)))}
    for mapping_id, count in counts.items():
        if count > 1:
            yield Problem(
                "warning",
                f"segments[{first[mapping_id]}].mapping_id",
                f"{count} segments share the Mapping ID {mapping_id}; a contact in any of them counts as a member. "
                "One that has ended, or has not begun, does not count.",
                "Give each segment a field of its own if they are to be told apart.",
            )


def _date_problems(destination: Destination, today: date) -> Iterator[Problem]:
    for number, segment in enumerate(destination.segments):
        if segment.start is not None and segment.start > today:
            yield Problem(
                "warning",
                f"segments[{number}].start",
                f"Its status is not written before {segment.start}.",
                "What comes earlier is not kept: have it sent again from then on, or remove `start` and connect the file again.",
            )
        if segment.end is None or segment.end > today + _EXPIRES_WITHIN:
            continue
        past = segment.end < today
        yield Problem(
            "warning",
            f"segments[{number}].end",
            f"Its status {'has not been written since' if past else 'is written until'} {segment.end}.",
            "Change or remove `end` and connect the file again if it is to go on.",
        )


def _quota_problems(limits: Limits) -> Iterator[Problem]:
    days = limits.calls_per_year / (limits.calls_per_minute * _MINUTES_A_DAY)
    if days < _SHORT_QUOTA_DAYS:
        last = f"{days:.0f} days" if days >= 2 else f"{days * 24:.1f} hours"  # days
        yield Problem(
            "warning",
            "limits.calls_per_year",
            f"At {limits.calls_per_minute:,} calls a minute, {limits.calls_per_year:,} calls a year last {last}.",
            "Expect a long backfill to use them up; lower limits.calls_per_minute or agree on more with Salesforce.",
        )
