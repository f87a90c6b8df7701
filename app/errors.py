"""Every error that this product raises on purpose, as a decision tree: the class says what to do next. Pure.

::

    ActivationError                 one clear text, a remedy, an exit code
    ├── UsageError                  wrong usage or configuration                      exit 2
    │   └── UnknownDestination      no destination of that name is connected
    ├── ServiceUnreachable          Redis or the broker does not answer               exit 3
    │   └── StorageRefuses          Redis answers and takes no writes: full, a replica, still loading
    ├── WorkHasProblems             the command worked, what it looked at has faults  exit 1
    ├── LeaseLost                   another worker holds the lane: stop sending, settle nothing
    │   └── EpochEnded              the destination was connected anew meanwhile: what is unsettled is read again
    ├── RequestRefused              an HTTP request is not carried out: `status` and `code` tell its sender why
    ├── SealBroken                  no key of ACTIVATION_SECRET_KEYS opens this value
    │   └── OtherBuild              it opens, and this build does not understand it
    └── CallError                   one call to Marketing Cloud was not accepted
        ├── ContactRefused          this contact's own fault          -> outcome failed, kept for replay; `stored_in_part`:
        │   │                                                                nothing older is sent any more; `is_of_form`
        │   │                                                                many times in a row: DestinationBroken
        │   ├── ContactUnknown      the contact does not exist        -> POST it once
        │   ├── AddressRequired     a new contact came without email  -> outcome excluded
        │   └── AttributeRefused    an attribute is not known there   -> refresh the catalog once, plan again
        ├── TransientFailure         may pass, this contact alone      -> park it, try it again later
        ├── TokenRefused            HTTP 401, or 403 with 40002       -> drop the token, fetch one, repeat once
        ├── AccountThrottled        the whole account must wait       -> every worker waits `wait_seconds`
        ├── DestinationUnreachable  nobody answers                    -> the task retries, lanes keep their entries
        └── DestinationBroken       an operator has to mend it        -> stop the destination, keep its backlog

A text carries ids, counts, field names and remedies, never profile data. What Marketing Cloud said in its own words may
quote a value; it travels in `CallError.service_message`, which is only ever stored sealed and never printed by `str()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar

from app.names import nearest


class ActivationError(Exception):
    """Base of all. `remedy`: what the reader can do about it; '' if the text says so already."""

    exit_code: ClassVar[int] = 1

    def __init__(self, text: str, *, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy
        if remedy:  # so that a traceback shows it too
            self.add_note(remedy)


class UsageError(ActivationError):
    """The command, the environment or a file is wrong. `problems`: every finding, if there are several."""

    exit_code = 2

    def __init__(self, text: str, *, remedy: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(text, remedy=remedy)
        self.problems = problems
        for problem in problems:  # so that a traceback shows them too
            self.add_note(f"- {problem}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint at the likely word, preceded by a space; '' if none is near."""
    likely = nearest(word, known)
    return f" Did you mean {likely}?" if likely else ""


class UnknownDestination(UsageError):
    """`connected`: the known ids, to suggest the likely one. If they include this one, its record belongs to another build."""

    def __init__(self, destination_id: str, connected: Iterable[str] = ()) -> None:
        text = f"No destination {destination_id[:63]!r} is connected."
        remedy = "`activation destinations` lists those that are; `activation connect FILE` adds one."
        if destination_id in (known := tuple(connected)):
            text = f"There is a record of destination {destination_id!r}, and this build cannot read it; or it is being disconnected."
            remedy = (
                "If another build connected it: let all processes run one build, then `activation connect FILE` again. "
                f"If its removal was interrupted: `activation disconnect {destination_id}` ends it."
            )
        else:
            text += did_you_mean(destination_id, known)
        super().__init__(text, remedy=remedy)


class ServiceUnreachable(ActivationError):
    """Redis or the Celery broker does not answer. Nothing was lost; the same call can be made again."""

    exit_code = 3


class StorageRefuses(ServiceUnreachable):
    """Redis answers but takes no writes: its memory is used up, it is a replica, or it is still loading."""


class WorkHasProblems(ActivationError):
    """The command did its work and found problems, which it has listed."""


class RequestRefused(ActivationError):
    """An HTTP request is not carried out. `status`: of its answer. `code`: a stable word for programs.

    `retry_after_seconds`: set if the same request may succeed later.
    """

    def __init__(
        self, text: str, *, status: int, code: str, remedy: str = "", retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(text, remedy=remedy)
        self.status = status
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class LeaseLost(ActivationError):
    """The lane now belongs to another worker, which will do whatever is unsettled here."""


class EpochEnded(LeaseLost):
    """The destination got another account or contact key, or was disconnected, during a session."""

    def __init__(self, destination_id: str) -> None:
        super().__init__(f"{destination_id} was connected anew, or disconnected, while it was worked on.")


class SealBroken(ActivationError):
    """A sealed value does not open: its key is not configured or, if `tampered`, the value was altered."""

    def __init__(self, what: str, *, tampered: bool = False) -> None:
        if tampered:
            super().__init__(
                f"{what} was altered, or moved from its place, after it was sealed.",
                remedy="Find out who can write to Redis; restore it from a backup if it matters.",
            )
        else:
            super().__init__(
                f"{what} cannot be opened with any key of ACTIVATION_SECRET_KEYS.",
                remedy="Add the key it was sealed with back to the end of ACTIVATION_SECRET_KEYS and restart.",
            )
        self.tampered = tampered


class OtherBuild(SealBroken):
    """A stored value was written by another build, and this one does not understand it; handled as if no key opened it."""

    def __init__(self, text: str, *, remedy: str) -> None:
        ActivationError.__init__(self, text, remedy=remedy)
        self.tampered = False


class Throttle(StrEnum):
    """The signals of an account that is called too much; each is handled differently."""

    RATE = "rate"  # 429 with errorcode 50100: wait for Retry-After
    BLOCKED = "blocked"  # 429 with errorcode 50200: too many at once, open the account's circuit
    UNAVAILABLE = "unavailable"  # 503 with errorcode 50300: wait for Retry-After
    TOKENS = "tokens"  # 429 of the token endpoint: wait too; it says nothing about the rate of calls


class CallError(ActivationError):
    """One call was not accepted.

    `code`: a stable word for programs. `service_message`: Marketing Cloud's own text, which may quote profile data: store
      it sealed only. `request_id`: the requestServiceMessageID that Salesforce support asks for.
    """

    usual_remedy: ClassVar[str] = ""

    def __init__(
        self,
        text: str,
        *,
        code: str,
        remedy: str = "",
        http_status: int | None = None,
        service_message: str = "",
        request_id: str = "",
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(text, remedy=remedy or self.usual_remedy)
        self.code = code
        self.http_status = http_status
        self.service_message = service_message
        self.request_id = request_id
        self.wait_seconds = wait_seconds


class ContactRefused(CallError):
    """Refused for what this contact carries; the same call would be refused again.

    `stored_in_part`: some of its values are stored now, and nobody knows which. `is_of_form`: refused for the form of the call,
      which the calls for all contacts have alike.
    """

    def __init__(
        self, text: str, *, code: str, stored_in_part: bool = False, is_of_form: bool = False, **more: Any
    ) -> None:
        super().__init__(text, code=code, **more)
        self.stored_in_part = stored_in_part
        self.is_of_form = is_of_form


class ContactUnknown(ContactRefused):
    """PATCH named a contact that does not exist.

    `is_sure`: a code says so, rather than mere words or an errorcode used for any object.
    """

    def __init__(self, text: str, *, code: str, is_sure: bool = True, **more: Any) -> None:
        super().__init__(text, code=code, **more)
        self.is_sure = is_sure


class AddressRequired(ContactRefused):
    """A contact can only be created with an email address, and none was sent. `is_sure`: a code says so, not free words."""

    def __init__(self, text: str, *, code: str, is_sure: bool = True, **more: Any) -> None:
        super().__init__(text, code=code, **more)
        self.is_sure = is_sure


class AttributeRefused(ContactRefused):
    """The account does not know an attribute or attribute set of the call, whatever the catalog says."""


class TransientFailure(CallError):
    """A 5xx, a timeout, a conflict or a cut connection: it may pass, and says nothing about other contacts."""


class TokenRefused(CallError):
    """HTTP 401, or 403 with errorcode 40002: the access token was not accepted."""


class AccountThrottled(CallError):
    """The account is called too much. `kind`: which signal. `wait_seconds`: how long the server asks to wait."""

    def __init__(self, text: str, *, kind: Throttle, wait_seconds: float | None = None, **more: object) -> None:
        super().__init__(text, code=f"throttled_{kind}", wait_seconds=wait_seconds, **more)  # type: ignore[arg-type]  # passed on as given
        self.kind = kind


class DestinationUnreachable(CallError):
    """No connection, no name, or no usable answer, with no contact at fault; it may come back by itself.

    It comes from the token endpoint, from a request about the account, or from several contacts in a row.
    """

    usual_remedy = "If it lasts: the network between here and Marketing Cloud, a proxy, or Marketing Cloud itself."


class DestinationBroken(CallError):
    """Bad credentials, a missing scope, an address off the allowlist, a missing field: somebody must act."""
