"""A whole stack with a console and something to see in it, and a real browser before it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.access.roles import Actor, Role
from app.access.sessions import Sessions
from app.access.users import Users
from app.console.visit import COOKIE
from app.devstack.stack import console_command, listens, port_from
from tests.browser.sample import fill
from tests.system.rig import Rig

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PEOPLE = {Role.VIEW: "vera", Role.ACTIVATE: "aki", Role.MANAGE: "olga"}
NONE = "NO CHROMIUM HERE: the console is not tested in a browser. On Debian: apt-get install chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if "tests/browser" in item.path.as_posix()]
    if CHROMIUM is None and here:
        sys.stderr.write(f"\n{'=' * len(NONE)}\n{NONE}\n{'=' * len(NONE)}\n")
        for item in here:
            item.add_marker(pytest.mark.skip(reason=NONE))


@dataclass
class Bed:
    rig: Rig
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sessions(self) -> Sessions:
        made = self.rig.resources
        return Sessions(made.redis, made.ring, Users(made.redis, made.ring))

    def session(self, role: Role) -> str:
        return self.sessions.begin(Actor(PEOPLE[role], role), now_ms=self.rig.resources.clock.now_ms())

    def link(self, name: str = "local", role: Role = Role.MANAGE, *, asks_password: bool = False) -> str:
        return f"{self.url}/link/{self.sessions.make_link(name, role, asks_password=asks_password)}"


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    rig = Rig(tmp_path_factory.mktemp("console"), workers=1)
    try:
        port = port_from(0)
        rig.start()
        rig.stack.start("console", console_command(port))
        rig.stack.wait_for("console", lambda: listens(port))
        fill(rig)
        yield Bed(rig, port)
    finally:
        rig.close()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # the sandbox of Chromium needs a kernel and a user that a container may not have
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Pages:
    """Of the browser, each in a context of its own, with all that it has complained of."""

    def __init__(self, browser: Browser, bed: Bed) -> None:
        self._browser, self._bed = browser, bed
        self._kept: dict[tuple[Role, str], list[Page]] = {}
        self.complaints: list[str] = []

    def take(self, role: Role | None, **how: Any) -> Page:
        """One that is signed in with a role, and that nobody else uses now: of contexts that are alike one is enough, and each costs a
        second of CPU. Who is signed out begins with no cookie.
        """
        kept = self._kept.get((role, repr(how))) if role is not None else None
        return kept.pop() if kept else self._make(role, how)

    def put_back(self, page: Page, role: Role | None, **how: Any) -> None:
        from playwright.sync_api import Error

        # A context ends with its browser, which is killed after 30 s: Playwright sets no limit to closing a context, and
        # Chromium does not always answer it. An empty page no longer asks the console for what is new.
        with suppress(Error):
            page.goto("about:blank")
            if role is not None:
                self._kept.setdefault((role, repr(how)), []).append(page)

    def _make(self, role: Role | None, how: dict[str, Any]) -> Page:
        bed = self._bed
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **how})
        page = context.new_page()
        page.set_default_timeout(60_000)  # several tests may share a machine
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        page.on("request", self._see)
        if role is not None:
            context.add_cookies([{"name": COOKIE, "value": bed.session(role), "url": bed.url}])
        return page

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type == "error" and "status of 4" not in said.text:
            self.complaints.append(said.text)

    def _see(self, asked: Request) -> None:
        if not asked.url.startswith((self._bed.url, "blob:", "data:")):
            self.complaints.append(asked.url)


@pytest.fixture(scope="session")
def pages(browser: Browser, bed: Bed) -> Pages:
    return Pages(browser, bed)


@pytest.fixture
def open_page(pages: Pages) -> Iterator[Callable[..., Page]]:
    """A page signed in with a role; nothing may be refused by the policy, and no script may fail."""
    taken: list[tuple[Page, Role | None, dict[str, Any]]] = []
    pages.complaints.clear()

    def make(role: Role | None = Role.MANAGE, **how: Any) -> Page:
        page = pages.take(role, **how)
        taken.append((page, role, how))
        return page

    yield make
    for page, role, how in taken:
        pages.put_back(page, role, **how)
    assert pages.complaints == []
