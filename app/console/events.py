"""Server-sent events: tells an open page that there is something new, so that it reloads itself."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.console.visit import find_session
from app.errors import ActivationError
from app.keys import ALERTS_OPEN, LANES, DestinationKeys
from app.moments import hour_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from app.console.context import Context

LOOK_SECONDS = 2.0
CHECK_SESSION_SECONDS = 30.0
MOST = 200  # open pages at once


class Watch:
    """Looks once for all open pages, however many there are."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen = ""
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self.open = 0

    async def fingerprint(self) -> str:
        """Return a text that changes when any destination's counts or state change."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS * 0.9:
                self._seen = await run_in_threadpool(self._look)
                self._looked_at = time.monotonic()
        return self._seen

    def _look(self) -> str:
        redis = self._context.resources.redis
        digest = hashlib.sha256()
        digest.update(repr(redis.hgetall(ALERTS_OPEN)).encode())
        hour = hour_of(self._context.resources.clock.now_ms())
        for name in self._context.resources.destinations.ids():
            keys = DestinationKeys(name)
            with redis.pipeline(transaction=False) as pipeline:
                pipeline.hgetall(keys.state)
                pipeline.hgetall(keys.run(hour))
                pipeline.zcard(keys.failures)
                for number in range(LANES):
                    pipeline.xlen(keys.lane(number).live)
                    pipeline.xlen(keys.lane(number).backfill)
                    pipeline.zcard(keys.lane(number).later)
                digest.update(repr((name, pipeline.execute())).encode())
        return digest.hexdigest()


async def events(request: Request) -> Response:
    """Stream `changed` whenever there is something new."""
    context: Context = request.app.state.context
    watch: Watch = request.app.state.watch
    session = await run_in_threadpool(_signed_in, context, request)
    if not session or watch.open >= MOST:
        return Response(status_code=403 if not session else 503)

    async def stream() -> AsyncIterator[str]:
        watch.open += 1
        seen, checked_at = "", time.monotonic()
        try:
            yield "retry: 5000\n\n"
            while True:
                try:
                    now = await watch.fingerprint()
                except (RedisError, ActivationError):
                    now = seen
                yield f"event: changed\ndata: {now[:12]}\n\n" if seen and now != seen else ": still here\n\n"
                seen = now
                if time.monotonic() - checked_at > CHECK_SESSION_SECONDS:
                    if not await run_in_threadpool(_signed_in, context, request):
                        return
                    checked_at = time.monotonic()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            watch.open -= 1

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _signed_in(context: Context, request: Request) -> bool:
    try:
        return find_session(context, request, extend=False) is not None  # an open page is nobody at work
    except (RedisError, ActivationError):
        return False
