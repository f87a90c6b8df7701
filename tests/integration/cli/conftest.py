"""The command line as a user calls it, against a real Redis and a sandbox tenant of the test's own."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis

from app.cli import main
from app.sealing import make_key
from app.settings import OPTIONS

_tenants = count(1)
DESTINATION = """\
id: camp
name: Camp
account:
  subdomain: mctest
  client_id: sandbox-client
  client_secret: ${SECRET}
  auth_base_url: %(base)s
  rest_base_url: %(base)s
mapping:
  - {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}
  - {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}
  - {source: "xdm: person.name.firstName", target: "Attribute: Email Demographics.First Name"}
segments:
  - {id: seg-1, name: One, mapping_id: salesforce_mc_segment_1}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return " ".join((self.out + self.err).split())


class Shell:
    def __init__(self, base: str, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.folder = folder
        self.monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        self.monkeypatch.setattr("sys.argv", ["activation", *arguments])
        self.monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to answer
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, said.out, said.err)

    def file(self, text: str | None = None, name: str = "camp.yaml") -> str:
        """A file with this text, or the usual destination."""
        content = DESTINATION % {"base": self.base} if text is None else text
        path = self.folder / name
        path.write_text(content)
        return str(path)

    def edited(self, old: str, new: str) -> str:
        """The usual file with one text replaced."""
        content = DESTINATION % {"base": self.base}
        assert old in content
        return self.file(content.replace(old, new))

    def admin(self, method: str, path: str, document: Any = None) -> Any:
        answer = requests.request(method, f"{self.base}/_sandbox/{path}", json=document, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture
def shell(
    redis: Redis, redis_port: int, sandbox_port: int, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://127.0.0.1:{redis_port}/0")
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", make_key())
    monkeypatch.setenv("ACTIVATION_ALLOW_LOCAL_HOSTS", "true")
    monkeypatch.setenv("SECRET", "sandbox-secret")
    return Shell(f"http://127.0.0.1:{sandbox_port}/t/cli{next(_tenants)}", tmp_path, capsys, monkeypatch)
