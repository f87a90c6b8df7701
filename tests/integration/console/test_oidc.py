"""Single sign-on against the server of another library."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.console.single_sign_on import SingleSignOn
from app.devstack.stack import listens, port_from
from app.errors import UsageError
from app.reporting.audit import read_acts
from app.settings import Settings
from tests.integration.console.conftest import Console

GROUPS = "marketing=view, operations=activate, data=manage"


PEOPLE = {"ann": ["marketing"], "olga": ["marketing", "data"], "nobody": ["cooks"]}


@pytest.fixture(scope="module")
def issuer():
    port = port_from(0)
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    for name, groups in PEOPLE.items():
        command += ["--user-claims", json.dumps({"sub": name, "preferred_username": name, "groups": groups})]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while not listens(port):
            assert server.poll() is None
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(scope="module")
def signing_on(redis_port, sandbox_port, issuer):
    console = Console(
        redis_port, sandbox_port, console_oidc_issuer=issuer, console_oidc_client_id="console", console_oidc_client_secret="s",
        console_oidc_groups=GROUPS,
    )  # fmt: skip
    yield console
    console.close()


@pytest.fixture
def console(redis, signing_on):
    return signing_on


def sign_on(console, person):
    """As a browser goes: to the issuer, its form, and back. Returns the client and where it ended."""
    client = console.client()
    away = client.get("/oidc/start", allow_redirects=False)
    form = requests.post(away.headers["location"], data={"sub": person}, allow_redirects=False, timeout=20)
    back = urlsplit(form.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"{console.url}/oidc/callback"
    return client, client.get(f"{back.path}?{back.query}")


def test_the_form_offers_it(console):
    assert "Sign in with 127.0.0.1" in console.client().get("/login").text


def test_groups_become_the_highest_of_their_roles(console):
    client, answer = sign_on(console, "olga")
    assert answer.status_code == 200
    assert client.get("/people").status_code == 200
    client, _ = sign_on(console, "ann")
    assert client.get("/").status_code == 200
    assert client.get("/people").status_code == 403
    who = [act.who for _, act in read_acts(console.resources.redis, console.resources.ring) if act.what == "sign in"]
    assert who == ["ann (single sign-on)", "olga (single sign-on)"]


def test_somebody_in_no_group_that_counts_is_refused(console):
    client, answer = sign_on(console, "nobody")
    assert answer.status_code == 403
    assert "none of your groups" in answer.text
    assert client.get("/", allow_redirects=False).status_code == 303


@pytest.mark.parametrize("broken", ["state", "code", "cookie"])
def test_an_answer_that_does_not_match_signs_nobody_in(console, broken):
    client = console.client()
    away = client.get("/oidc/start", allow_redirects=False)
    form = requests.post(away.headers["location"], data={"sub": "olga"}, allow_redirects=False, timeout=20)
    given = {name: values[0] for name, values in parse_qs(urlsplit(form.headers["location"]).query).items()}
    if broken == "cookie":
        client = console.client()
    else:
        given[broken] = "other"
    answer = client.get("/oidc/callback", params=given)
    assert answer.status_code == 403
    assert client.get("/", allow_redirects=False).status_code == 303


def test_an_answer_is_of_use_once(console):
    client = console.client()
    away = client.get("/oidc/start", allow_redirects=False)
    form = requests.post(away.headers["location"], data={"sub": "olga"}, allow_redirects=False, timeout=20)
    back = urlsplit(form.headers["location"])
    cookies = client.cookies.copy()
    assert client.get(f"{back.path}?{back.query}").status_code == 200
    other = console.client()
    other.cookies = cookies
    assert other.get(f"{back.path}?{back.query}").status_code == 403


def test_the_proof_of_who_began_goes_along(console):
    away = console.client().get("/oidc/start", allow_redirects=False).headers["location"]
    asked = parse_qs(urlsplit(away).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["nonce"]
    assert asked["state"]


def test_an_issuer_that_is_away_leaves_the_password(make_console):
    away = make_console(
        console_oidc_issuer="http://127.0.0.1:9", console_oidc_client_id="console", console_oidc_client_secret="s",
        console_oidc_groups=GROUPS,
    )  # fmt: skip
    assert away.client().get("/oidc/start").status_code == 503
    assert away.client().get("/login").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"console_oidc_issuer": "http://issuer.test"},
        {"console_oidc_client_id": ""},
        {"console_oidc_groups": ""},
        {"console_oidc_groups": "data"},
        {"console_oidc_groups": "data=king"},
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes):
    settings = replace(
        Settings.from_env(), console_oidc_issuer="https://issuer.test", console_oidc_client_id="c", console_oidc_client_secret="s",
        console_oidc_groups=GROUPS,
    )  # fmt: skip
    assert SingleSignOn(settings, "https://here.test").name == "issuer.test"
    with pytest.raises(UsageError):
        SingleSignOn(replace(settings, **changes), "https://here.test")
