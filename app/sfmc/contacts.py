"""Writes contacts: PATCH adds or updates, POST creates a contact that PATCH does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import TransientFailure
from app.sfmc.responses import Accepted, judge_contact

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.sfmc.calls import Calls

_PATH = "/contacts/v1/contacts"


class Contacts:
    """Writes one contact per call; there is no batch form. `body`: the JSON that `CompiledMapping.body` returns.

    `before_sending`: called with the token at hand, right before the call goes out; an error it raises ends the call.

    Raises: the `CallError` that the answer stands for; `TransientFailure` for no answer, since the contact may have been
    stored and sending the same values again does no harm.
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
