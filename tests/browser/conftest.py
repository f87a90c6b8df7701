"""A whole stack with a console and something to see in it, and a real browser before it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.access.roles import Actor, Role
from app.access.sessions import Sessions
from app.access.users import Users
from app.console.visit import COOKIE
from app.devstack.stack import console_command, listens, port_from
from tests.browser.sample import fill
from tests.system.rig import Rig

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


@pytest.fixture
def open_page(browser, bed: Bed) -> Iterator[Callable]:
    """A page of a browser of its own, signed in with a role; nothing may be refused by the policy, and no script may fail."""
    pages, complaints = [], []

    def make(role: Role | None = Role.MANAGE, **how):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **how})
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(60_000)  # several tests may share a machine
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type == "error" and "status of 4" not in said.text else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                complaints.append(asked.url) if not asked.url.startswith((bed.url, "blob:", "data:")) else None
            ),
        )
        if role is not None:
            context.add_cookies([{"name": COOKIE, "value": bed.session(role), "url": bed.url}])
        return page

    yield make
    from playwright.sync_api import Error

    for page in pages:
        # A context ends with its browser, which is killed after 30 s: Playwright sets no limit to closing a context, and
        # Chromium does not always answer it. An empty page no longer asks the console for what is new.
        with suppress(Error):
            page.goto("about:blank")
    assert complaints == []
