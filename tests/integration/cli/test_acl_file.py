"""What `activation acl` prints is an ACL file as it stands."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from app.acl import ROLES
from app.devstack.private_redis import find_server
from app.devstack.stack import port_from
from tests.integration.cli.conftest import Done


@pytest.mark.parametrize("server", ["state", "broker"])
def test_a_server_starts_on_it_and_knows_each_user(shell: Callable[..., Done], tmp_path: Path, server: str) -> None:
    printed = shell("acl", "--server", server)
    assert printed.code == 0
    (tmp_path / "users.acl").write_text(printed.out)
    port = port_from(0)
    process = subprocess.Popen(
        [find_server(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--aclfile", str(tmp_path / "users.acl")],
        cwd=tmp_path, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        passwords = {line.split()[1]: line.split()[3][1:] for line in printed.out.splitlines() if ">" in line}
        assert set(passwords) == {role.name for role in ROLES if role.server == server}
        for user, password in passwords.items():
            # it does not listen at once; where it has given up, it never does
            retry = Retry(ConstantBackoff(0.1), 100, supported_errors=(RedisConnectionError,))
            with Redis(port=port, username=user, password=password, retry=retry) as client:
                client.auth(password, user)
        with Redis(port=port) as nobody, pytest.raises(RedisConnectionError, match="already authenticated"):
            nobody.get("act:destinations")
    finally:
        process.terminate()
        process.wait(10)


def test_what_each_is_for_stands_beside_it(shell: Callable[..., Done]) -> None:
    printed = shell("acl")
    assert "#" not in printed.out
    for role in ROLES:
        assert role.holds in printed.err
