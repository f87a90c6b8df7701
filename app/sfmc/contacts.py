"""Writes contacts: PATCH adds or updates, POST creates a contact that PATCH does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        return await self._cloud.write("PATCH", _PATH, judge_contact, body, before_sending=before_sending)

    async def post(self, body: bytes, *, before_sending: Callable[[], None] | None = None) -> Accepted:
        return await self._cloud.write("POST", _PATH, judge_contact, body, before_sending=before_sending)
