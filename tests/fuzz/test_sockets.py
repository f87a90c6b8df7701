"""Whatever bytes come back, or do not: an answer or one error in time, little memory, and the next call goes well."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DestinationUnreachable, TransientFailure
from app.event_loop import EVENT_LOOP
from app.sfmc.http import Answer, Transport
from tests.fuzz.cases import MARK, cases

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MOST_GROWTH_BYTES = 300_000_000


class Far:
    """Answers each call with the bytes of the moment, then closes; `pieces` may be endless."""

    def __init__(self) -> None:
        self.pieces: Callable[[], Iterator[bytes]] = lambda: iter([GOOD])
        self.pause_seconds = 0.0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            for piece in self.pieces():
                connection.sendall(piece)
                time.sleep(self.pause_seconds)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.close()


def to(far: Far) -> Transport:
    return Transport(f"http://127.0.0.1:{far.port}", connect_timeout_seconds=1.0, read_timeout_seconds=2.0, local=True)


@pytest.fixture
def transport(far: Far) -> Transport:
    return to(far)


def call(transport: Transport, method: str = "PATCH") -> Answer | Exception:
    try:
        return EVENT_LOOP.run(
            transport.call(method, "/", body=f'{{"{MARK}":1}}'.encode(), bearer=MARK, when_lost=TransientFailure)
        )
    except (TransientFailure, DestinationUnreachable) as error:
        assert MARK not in f"{error}{error.remedy}{error.code}{error.__cause__}"
        assert error.__context__ is None or error.__suppress_context__
        return error


def goes_on(far: Far, transport: Transport) -> None:
    far.pieces, far.pause_seconds = lambda: iter([GOOD]), 0.0
    answer = call(transport)
    if isinstance(answer, TransientFailure):
        # the other end closes after each answer, and the kept connection may not have heard of it: a call's usual bad luck
        answer = call(transport)
    assert isinstance(answer, Answer), answer
    assert (answer.status, answer.body) == (200, b"{}")


lines = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 No", b"HTTP/1.1 999 X", b"HTTP/1.1 -1 X", b"HTTP/1.1 2e2 X",
     b"HTTP/9.9 200 OK", b"HTTP/0.9", b"ICY 200 OK", b"", b"HTTP/1.1", b"HTTP/1.1 " + b"9" * 5_000, b"\xff\x00", b"HTTP/1.1 100 Continue",
     b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 200 " + b"x" * 100_000]
)  # fmt: skip
fields = st.sampled_from(
    [b"Content-Length: 2", b"Content-Length: 9", b"Content-Length: -1", b"Content-Length: x", b"Content-Length: " + b"9" * 5_000,
     b"Content-Length: 9223372036854775808", b"Content-Length: 2, 2", b"Content-Length: 2, 3", b"Content-Length:\xb2", b"Transfer-Encoding: chunked",
     b"Transfer-Encoding: gzip, chunked", b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Encoding: br", b"Connection: close",
     b"X: " + b"x" * 100_000, b"no colon", b": nothing", b" folded", b"X:\x00", b"Location: http://evil.test", b"Set-Cookie: a=b"]
)  # fmt: skip
contents = st.sampled_from(
    [b"", b"{}", b"{}{}", gzip.compress(b"{}"), gzip.compress(b"{}")[:10], b"\x1f\x8b garbage", gzip.compress(b"0" * 50_000_000),
     b"2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}", b"ffffffffffffffffffff\r\n{}", b"-1\r\n{}", b"x\r\n{}", b"2;" + b"x" * 100_000 + b"\r\n{}", b"0\r\nX: y\r\n",
     b"2\r\n{}\r\n0\r\n" + b"T: x\r\n" * 10_000, b"x" * 1_100_000, b"\x00" * 100]
)  # fmt: skip


@pytest.mark.timeout(1_800)
def test_every_answer_ends_and_the_next_call_goes_well(far: Far, transport: Transport) -> None:
    resident = psutil.Process().memory_info().rss

    @cases(40, 150)
    @given(
        lines,
        st.lists(fields, max_size=4),
        contents | st.binary(max_size=60),
        st.integers(0, 400) | st.none(),
        st.sampled_from(["GET", "PATCH"]),
    )
    def answer(line: bytes, given_fields: list[bytes], content: bytes, cut: int | None, method: str) -> None:
        whole = b"\r\n".join([line, *given_fields, b"", content])[:cut]
        far.pieces = lambda: iter([whole])
        call(transport, method)
        goes_on(far, transport)

    answer()
    assert psutil.Process().memory_info().rss - resident < MOST_GROWTH_BYTES


HEAD = b"HTTP/1.1 200 OK\r\n"


def forever(first: bytes, again: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield first
        while True:
            yield again

    return pieces


ENDLESS: dict[str, tuple[Callable[[], Iterator[bytes]], float]] = {
    "headers": (forever(HEAD, b"X: y\r\n" * 100), 0.0),
    "continue": (forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 0.0),
    "body": (forever(HEAD + b"\r\n", b"x" * 10_000), 0.0),
    "chunks": (forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000), 0.0),
    "trailers": (forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"T: x\r\n" * 100), 0.0),
    "slow header": (forever(HEAD, b"x"), 0.2),
    "slow body": (forever(HEAD + b"Content-Length: 99\r\n\r\n", b"x"), 0.2),
    "slow chunks": (forever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), 0.2),
    "silence": (forever(b"", b""), 0.2),
}


def test_what_has_no_end_is_ended() -> None:
    """All of them at the same time, each from a server of its own."""
    resident = psutil.Process().memory_info().rss

    def end(name: str) -> None:
        with closing(Far()) as far:
            transport = to(far)
            far.pieces, far.pause_seconds = ENDLESS[name]
            assert isinstance(call(transport), TransientFailure), name
            goes_on(far, transport)

    with ThreadPoolExecutor(len(ENDLESS)) as pool:
        list(pool.map(end, ENDLESS))
    assert psutil.Process().memory_info().rss - resident < MOST_GROWTH_BYTES
