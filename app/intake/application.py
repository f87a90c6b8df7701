"""The ASGI application of one intake process, which builds its parts at start and ends them at stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app import logs
from app.intake.admission import Admission
from app.intake.commits import Commits
from app.intake.counts import Counts
from app.intake.housekeeping import Housekeeping
from app.intake.pages import Pages, on_error, on_http_error
from app.intake.posts import Profiles, wake
from app.intake.register import Register
from app.intake.sources import SourceStore
from app.proxies import Proxies
from app.resources import Resources, connect
from app.serving.body_time import BODY_TIME, BodyTime
from app.settings import Settings
from app.wake_ups import Waker

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

REDIS_SECONDS = (
    1.2  # less than an answer may take; a broken connection is reopened once, a slow answer is not awaited again
)
PROFILES = "/v1/destinations/{destination}/profiles"
ACCESS = "/oauth/token"


@dataclass(slots=True)
class Intake:
    """The parts of a running process."""

    profiles: Profiles
    pages: Pages


def create() -> Starlette:
    """Build the application from the environment. Raises: `UsageError`."""
    settings = Settings.from_env()
    logs.configure(settings.log_level, form=settings.log_format)
    retry = Retry(NoBackoff(), 1, (RedisConnectionError,))
    resources = Resources.from_settings(
        settings, connect(settings.redis_url, answer_seconds=REDIS_SECONDS, retry=retry)
    )
    return make_application(resources)


def make_application(resources: Resources) -> Starlette:
    settings = resources.settings
    proxies = Proxies.named(settings.intake_proxies)
    running: list[Intake] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        counts = Counts()
        body_time = BodyTime()
        register = Register(SourceStore(resources.redis, resources.ring), resources.ring, resources.clock)
        admission = Admission(register, proxies, open_to_local=settings.intake_open)
        commits = Commits(resources, Waker(resources), lambda posts: _soon(loop, posts))
        housekeeping = Housekeeping(resources.redis, register, counts)
        profiles = Profiles(admission, commits, counts, body_time)
        running[:] = [Intake(profiles, Pages(resources.redis, admission, housekeeping, body_time))]
        commits.start()
        housekeeping.start()
        yield {BODY_TIME: body_time}
        await asyncio.to_thread(commits.stop)
        await asyncio.to_thread(housekeeping.stop)

    class _Profiles:
        """The target of the route; `Profiles` itself can only be made once the event loop runs."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await running[0].profiles(scope, receive, send)

    def page(name: str) -> Callable[..., Any]:
        async def endpoint(request: Any) -> Any:
            return await getattr(running[0].pages, name)(request)

        return endpoint

    application = Starlette(
        routes=[
            *(Route(path, _Profiles(), methods=["POST"]) for path in (PROFILES, f"{PROFILES}/")),
            *(Route(path, page("token"), methods=["POST"]) for path in (ACCESS, f"{ACCESS}/")),
            *(Route(f"/{name}", page(name)) for name in ("livez", "readyz", "metrics")),
            Route("/openapi.json", page("openapi")),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: on_http_error, Exception: on_error},
    )
    application.router.redirect_slashes = False  # clients that POST seldom follow redirects
    return application


def _soon(loop: asyncio.AbstractEventLoop, posts: list[Any]) -> None:
    loop.call_soon_threadsafe(wake, posts)
