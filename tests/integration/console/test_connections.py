"""Clients that send byte by byte, or nothing at all, and what they leave to those who use the console."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest
import requests

from app.access.roles import Role
from app.serving import body_time, protocol
from app.serving.protocol import MOST_HEAD_BYTES, Connection, connections_of
from tests.integration.console.conftest import Console
from tests.lines import Line

HEAD = b"GET /login HTTP/1.1\r\nHost: a\r\n"
FORM = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\nname="
CALL = b"POST /v1/destinations/camp/profiles HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 9999\r\n\r\n{"
MOST = 12


@pytest.fixture
def line() -> Iterator[Callable[[Console], Line]]:
    made: list[Line] = []

    def one(console: Console) -> Line:
        made.append(Line(console.port))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def impatient(make_console, monkeypatch: pytest.MonkeyPatch) -> Console:
    """It waits for slow clients for moments only."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(body_time, "BODY_SECONDS", 0.4)
    return make_console()


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(impatient, line):
    slow = line(impatient)
    slow.send(HEAD)
    slow.drip()
    assert slow.answer().status == 408
    assert slow.ended()


def test_a_connection_that_says_nothing_is_closed(impatient, line):
    assert line(impatient).ended()


@pytest.mark.parametrize(
    ("begun", "kind"), [(FORM, "text/plain; charset=utf-8"), (CALL, "application/problem+json")], ids=["form", "call"]
)
def test_a_body_that_comes_byte_by_byte_is_not_waited_for(impatient, line, begun, kind):
    slow = line(impatient)
    slow.send(begun.replace(b"KEY", impatient.key(Role.MANAGE).encode()))
    slow.drip()
    answer = slow.answer()
    assert (answer.status, answer.headers["content-type"]) == (408, kind)
    assert slow.ended()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/connect", 303), ("/destinations/camp/failures/replay", 303), ("/v1/destinations/camp/profiles", 401)],
)
def test_the_body_of_somebody_unknown_is_not_read(console, line, path, status):
    stranger = line(console)
    stranger.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n".encode())
    assert stranger.answer().status == status  # and not only after the time of a body


def test_who_signs_in_sends_no_more_than_a_name_and_a_password(console):
    answer = console.client().post("/login", data={"name": "ann", "password": "x" * 20_000})
    assert (answer.status_code, answer.text) == (413, "The form is too large.\n")


def test_who_goes_before_the_end_of_a_form_leaves_no_fault_behind(console, line, caplog):
    gone = line(console)
    gone.send(FORM)
    gone.close()
    assert console.client().get("/login").status_code == 200
    assert caplog.records == []


def test_a_head_that_grows_beyond_bounds_is_refused(console, line):
    long = line(console)
    long.send(HEAD + b"X: " + b"a" * MOST_HEAD_BYTES)
    assert long.answer().status == 431
    assert long.ended()


@pytest.mark.parametrize("said", [b"", HEAD, FORM], ids=["nothing", "a head", "a body"])
def test_who_only_holds_connections_keeps_nobody_out(console, line, monkeypatch, said):
    monkeypatch.setattr(Connection, "most", MOST)
    browser = console.client(Role.VIEW)
    with requests.get(f"{console.url}/events", cookies=browser.cookies, stream=True, timeout=20) as stream:
        told = stream.iter_lines()
        assert next(told) == b"retry: 5000"
        holding = [line(console) for _ in range(3 * MOST)]
        for one in holding:
            one.send(said)
        while sum(one.is_told() for one in holding) < 2 * MOST:  # all are there, and too many were closed
            holding[-1].is_told(within_seconds=0.02)
        for _ in range(2):
            assert browser.get("/").status_code == 200  # its kept connection was one of those, and it makes another
            assert console.client().get("/login").status_code == 200
        closed = [one for one in holding if one.is_told()]
        assert 2 * MOST <= len(closed) < len(holding)
        assert all(one.ended() for one in closed)
        assert b": still here" in (next(told) for _ in range(5))


@pytest.mark.parametrize(("files", "most"), [(resource.RLIM_INFINITY, 1_000), (65_536, 1_000), (1_024, 924), (128, 64)])
def test_connections_leave_room_for_other_files(monkeypatch, files, most):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    assert connections_of(1_000) == most
