"""What commands say when Redis or Marketing Cloud does not answer: exit code 3, and nothing was changed."""

from __future__ import annotations

import pytest

from app.errors import DestinationUnreachable

LASTS = DestinationUnreachable.usual_remedy
NO_REDIS = "Error: Redis does not answer.\nCheck ACTIVATION_REDIS_URL and that the server runs.\n"


@pytest.fixture
def spring(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0


@pytest.mark.parametrize(
    "words", [("connect", "-"), ("check", "spring"), ("runs", "spring"), ("destinations",), ("enqueue", "spring", "-")]
)
def test_redis_that_does_not_answer(run, text, monkeypatch, closed_port, words):
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://:pa55word@127.0.0.1:{closed_port}/0")
    result = run(*words, stdin=text)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", NO_REDIS)


def test_a_wrong_password_of_redis(run, redis, monkeypatch):
    redis.config_set("requirepass", "pa55word")
    try:
        url = f"redis://:mistyped@127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0"
        monkeypatch.setenv("ACTIVATION_REDIS_URL", url)
        result = run("destinations")
    finally:
        redis.config_set("requirepass", "")
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        "Error: Redis does not accept this user and password.\nCheck those in ACTIVATION_REDIS_URL.\n",
    )


def test_a_redis_without_keys_named(run, monkeypatch):
    monkeypatch.delenv("ACTIVATION_SECRET_KEYS")
    result = run("destinations")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ACTIVATION_SECRET_KEYS is not set.\n")
    assert "every process needs the same keys; make one with: " in result.stderr


def test_marketing_cloud_that_takes_no_connections(run, text, sandbox, closed_port):
    far = text.replace(sandbox.base_url, f"http://127.0.0.1:{closed_port}")
    result = run("connect", "-", stdin=far)
    assert (result.exit_code, result.stdout, result.stderr) == (
        3,
        "",
        f"Error: 127.0.0.1:{closed_port} does not take connections.\n{LASTS} Nothing was changed; try again.\n",
    )
    assert run("destinations", "--json").stdout == "[]\n"


@pytest.mark.parametrize("words", [("check", "spring"), ("fields", "spring", "--refresh"), ("connect", "-")])
def test_marketing_cloud_that_cuts_connections(run, spring, text, sandbox, words):
    sandbox.switch(refuse_connections=True)
    result = run(*words, stdin=text)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("Nothing was changed; try again.\n")
    sandbox.switch(refuse_connections=False)


def test_marketing_cloud_that_is_unavailable_says_when_to_try_again(run, spring, sandbox):
    sandbox.switch(unavailable=True, unavailable_retry_after_seconds=7)
    result = run("check", "spring", "--new-token")
    assert (result.exit_code, result.stdout, result.stderr) == (
        3,
        "",
        f"Error: The token endpoint gave no usable answer (HTTP 503).\n{LASTS} Nothing was changed; try again in 7 s.\n",
    )
