"""A client of the sandbox, as the tests see it, and the process that serves it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import requests

SIGN_IN = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}


class Sandbox:
    """One tenant of a running sandbox, as a client sees it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = requests.Session()
        self.http.trust_env = False
        self._token: str | None = None

    def sign_in(self, **changes: Any) -> requests.Response:
        fields = {name: value for name, value in (SIGN_IN | changes).items() if value is not None}
        return self.http.post(f"{self.base_url}/v2/token", json=fields, timeout=10)

    @property
    def token(self) -> str:
        if self._token is None:
            self._token = self.sign_in().json()["access_token"]
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = token

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        return self.http.request(
            method, f"{self.base_url}{path}", headers=headers, timeout=10, allow_redirects=False, **options
        )

    def patch(self, key: str = "k1", *, method: str = "PATCH", **sets: dict[str, Any]) -> requests.Response:
        return self.call(method, "/contacts/v1/contacts", json=message(key, **sets))

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.base_url}/_sandbox{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def switch(self, **settings: Any) -> None:
        self.admin("PATCH", "/settings", settings)

    def fault(self, kind: str, **members: Any) -> None:
        self.admin("POST", "/faults", {"kind": kind} | members)

    @property
    def contacts(self) -> dict[str, dict[str, Any]]:
        return self.admin("GET", "/contacts")

    @property
    def summary(self) -> dict[str, Any]:
        return self.admin("GET", "/ledger/summary")

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.admin("GET", "/ledger")["calls"]


def message(key: str, *, email: str | None = "ann@mail.test", **demographics: Any) -> dict[str, Any]:
    sets = []
    if email is not None:
        sets.append(attribute_set("Email Addresses", {"Email Address": email, "HTML Enabled": True}))
    if demographics:
        sets.append(
            attribute_set("Email Demographics", {name.replace("__", " "): v for name, v in demographics.items()})
        )
    return {"contactKey": key, "attributeSets": sets}


def attribute_set(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "items": [{"values": [{"name": one, "value": value} for one, value in values.items()]}]}


def start(*options: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "app.sandbox", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"# Sandbox Marketing Cloud on http://[\d.]+:(\d+) \(for development only\)\n", line)
    if found is None:
        process.kill()
        raise AssertionError(f"unexpected first line {line!r}: {process.communicate()[1]}")
    return process, f"http://127.0.0.1:{found[1]}"


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """End a sandbox; its exit code and what it wrote to stderr."""
    process.terminate()
    _, errors = process.communicate(timeout=10)
    return process.returncode, errors
