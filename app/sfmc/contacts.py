"""Writing contacts: PATCH adds or updates, POST creates where PATCH says that the contact is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import TransientFailure
from app.sfmc.responses import Accepted, judge_contact

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.sfmc.calls import Calls

_PATH = "/contacts/v1/contacts"


class Contacts:
    """One contact per call; there is no batch form. `body` is the JSON that `CompiledMapping.body` makes.

    `before_sending` is called when the token is there, right before the call goes out; what it raises ends it.
    Both raise the `CallError` that the answer amounts to. No answer at all is `TransientFailure`: the contact may have
    been stored, and to send the same values again does no harm.
    """

    def __init__(self, cloud: Calls) -> None:
        self._cloud = cloud

    async def patch(self, body: bytes, *, before_sending: Callable[[], None] | None = None) -> Accepted:
        return await self._write("PATCH", body, before_sending)

    async def post(self, body: bytes, *, before_sending: Callable[[], None] | None = None) -> Accepted:
        return await self._write("POST", body, before_sending)

    async def _write(self, method: str, body: bytes, before_sending: Callable[[], None] | None) -> Accepted:
        return await self._cloud.request(
            method,
            _PATH,
            judge_contact,
            body=body,
            when_lost=TransientFailure,
            before_sending=before_sending,
            is_measured=True,
        )
