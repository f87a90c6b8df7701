"""TLS in front of a server of tests."""

from __future__ import annotations

import socket
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from tests.certificates import certificate


class TlsFront(socketserver.ThreadingTCPServer):
    """On 127.0.0.1, with a certificate for that address that signs itself; what passes it is in `heard`, in clear."""

    daemon_threads = True

    def __init__(self, folder: Path, behind: int) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.port: int = self.server_address[1]
        self.behind = behind
        self.heard = b""
        self.certificate, key = certificate(folder, "front")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)


class _Pass(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        with (
            suppress(OSError),  # one that does not trust the certificate is gone by then
            self.server.context.wrap_socket(self.request, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self.server.behind)) as server,
        ):
            Thread(target=_answer, args=(server, client), daemon=True).start()
            while said := client.recv(65_536):
                self.server.heard += said
                server.sendall(said)


def _answer(server: socket.socket, client: ssl.SSLSocket) -> None:
    with suppress(OSError):
        while said := server.recv(65_536):
            client.sendall(said)


@contextmanager
def tls_front(folder: Path, behind: int) -> Iterator[TlsFront]:
    with TlsFront(folder, behind) as front:
        Thread(target=front.serve_forever, daemon=True).start()
        yield front
        front.shutdown()
