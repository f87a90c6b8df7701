"""Heads and bodies that never end, on connections where every byte is said by hand."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import psutil
import pytest

from app.serving.protocol import MOST_HEAD_BYTES
from tests.integration.intake.conftest import Installation, person, wait_until
from tests.lines import Line

LIVE = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
TOKEN = b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\ngrant_type="


def field(length: int) -> bytes:
    """A header of so many bytes."""
    return b"X: " + b"a" * (length - 5) + b"\r\n"


@pytest.mark.parametrize("fields", [1, 10])
def test_a_head_that_grows_beyond_bounds_is_refused(intake: Installation, fields: int) -> None:
    line = intake.line()
    line.send(LIVE)
    left = MOST_HEAD_BYTES + 1 - len(LIVE)
    for number in range(fields):
        length = left // (fields - number)
        line.send(field(length))
        left -= length
    assert line.answer().status == 431
    assert line.ended()


def test_a_long_head_is_read(intake: Installation) -> None:
    line = intake.line()
    for _ in range(2):  # each head is counted for itself
        line.send(LIVE + field(MOST_HEAD_BYTES - len(LIVE) - 100) + b"\r\n")
        assert line.answer().status == 200


def test_a_head_behind_a_large_body_is_not_counted_with_it(intake: Installation) -> None:
    body = json.dumps([person(number) for number in range(1_000)]).encode()
    assert len(body) > 2 * MOST_HEAD_BYTES
    line = intake.line()
    line.send(intake.head(f"Content-Length: {len(body)}") + body + LIVE)
    assert line.answer().status == 202
    line.send(b"\r\n")
    assert line.answer().status == 200


def test_trailers_that_grow_beyond_bounds_end_the_connection(intake: Installation) -> None:
    line = intake.line()
    line.send(intake.head("Transfer-Encoding: chunked", "Expect: 100-continue"))
    assert line.answer().status == 100  # so the head was read
    line.send(b"0\r\n" + field(MOST_HEAD_BYTES - 2))
    assert line.ended()


def kept_alive(intake: Installation) -> Line:
    line = intake.line()
    line.send(LIVE + b"\r\n")
    assert line.answer().status == 200
    return line


@pytest.mark.parametrize("stray", [b"\r\n", b"\r", b"\r\n\r\n"])
def test_a_kept_connection_that_says_no_head_is_closed(impatient: Installation, stray: bytes) -> None:
    line = kept_alive(impatient)
    line.send(stray)
    assert line.ended()


def test_a_body_that_nobody_reads_is_not_waited_for(impatient: Installation) -> None:
    line = impatient.line()
    line.send(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n")
    assert line.answer().status == 404
    line.send(b"x")
    assert line.ended()


def test_a_body_that_comes_after_its_answer_leaves_the_connection_good(impatient: Installation) -> None:
    line = impatient.line()
    line.send(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    assert line.answer().status == 404
    line.send(b"x" * 10)
    line.send(b"x" * 10 + LIVE + b"\r\n")
    assert line.answer().status == 200


def test_a_token_request_that_does_not_end_is_answered(impatient: Installation) -> None:
    line = impatient.line()
    line.send(TOKEN)
    answer = line.answer()
    assert (answer.status, answer.json()) == (408, {"error": "invalid_request"})
    assert line.ended()


def test_who_goes_before_the_end_of_a_token_request_leaves_no_fault_behind(intake: Installation) -> None:
    gone = intake.line()
    gone.send(TOKEN)
    gone.close()
    assert kept_alive(intake)
    assert "Traceback" not in intake.log


def test_a_token_request_that_does_not_end_does_not_keep_the_intake_from_stopping(
    make: Callable[..., Installation],
) -> None:
    intake = make()
    intake.start()
    process = psutil.Process(intake.stack.pid("intake"))
    line = intake.line()
    line.send(TOKEN)
    # it is read from once another of the same loop is answered
    wait_until(intake.is_ready, "it is ready")
    intake.signal("intake", signal.SIGTERM)
    answer = line.answer()
    assert (answer.status, answer.json()) == (503, {"error": "temporarily_unavailable"})
    assert answer.headers["retry-after"].isdigit()
    process.wait(10)
