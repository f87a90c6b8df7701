"""Who is at the other end of `rediss`: nobody but the server that a trusted certificate names hears a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery
from flower.utils.broker import Broker
from redis import Redis

from app.broker import broker_settings, purge_queue, queue_lengths
from app.errors import ServiceUnreachable
from app.event_loop import EVENT_LOOP
from app.queues import DELIVERY_QUEUE, QUEUES
from app.resources import connect
from app.settings import Settings
from app.storage import translated
from tasks.config import celery_config
from tests.tls import TlsFront, tls_front

PASSWORD = "hunter2"


@pytest.fixture
def front(redis: Redis, redis_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsFront]:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    redis.acl_setuser(
        "walter", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+@all"], keys=["*"], channels=["*"]
    )
    with tls_front(tmp_path, redis_port) as made:
        yield made
    redis.acl_deluser("walter")


def settings(front: TlsFront, host: str = "127.0.0.1", *, state_alone: bool = False, options: str = "") -> Settings:
    url = f"rediss://walter:{PASSWORD}@{host}:{front.port}/0{options}"
    return replace(Settings.from_env(), redis_url=url, broker_url="" if state_alone else url)


def count(made: Settings) -> None:
    assert queue_lengths(made.celery_broker_url, QUEUES) == dict.fromkeys(QUEUES, 0)


def purge(made: Settings) -> None:
    purge_queue(made.celery_broker_url, DELIVERY_QUEUE)


def work(made: Settings) -> None:
    """As workers, beat and Flower connect, by the settings of the application."""
    _connect(celery_config(made))


def publish(made: Settings) -> None:
    """As a producer connects."""
    _connect(broker_settings(made.celery_broker_url))


def _connect(conf: dict[str, object]) -> None:
    with Celery("tls", set_as_current=False) as app:
        app.conf.update(conf)
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            connection.default_channel.client.ping()


def look(made: Settings) -> None:
    """As Flower counts what waits, by a connection of its own."""
    conf = celery_config(made)
    broker = Broker(made.celery_broker_url, broker_options={}, broker_use_ssl=conf["broker_use_ssl"])
    assert EVENT_LOOP.run(broker.queues([DELIVERY_QUEUE])) == [{"name": DELIVERY_QUEUE, "messages": 0}]


ALL = [count, purge, work, publish, look]


@pytest.mark.parametrize("use", ALL)
@pytest.mark.parametrize("state_alone", [False, True])
def test_a_server_that_nobody_vouches_for_hears_no_password(
    front: TlsFront, use: Callable[..., None], state_alone: bool
) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate"):
        use(settings(front, state_alone=state_alone))
    assert front.heard == b""


@pytest.mark.parametrize("use", ALL)
def test_one_whose_authority_is_named_is_spoken_to(
    front: TlsFront, use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    use(settings(front))
    assert PASSWORD.encode() in front.heard


@pytest.mark.parametrize("use", ALL)
def test_one_by_a_name_that_its_certificate_does_not_bear_hears_no_password(
    front: TlsFront, use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    with pytest.raises(Exception, match=r"(?i)certificate"):
        use(settings(front, "localhost"))
    assert front.heard == b""


@pytest.mark.parametrize("use", ALL)
def test_a_url_that_asks_for_no_certificate_is_taken_at_its_word(front: TlsFront, use: Callable[..., None]) -> None:
    use(settings(front, options="?ssl_cert_reqs=none"))
    assert PASSWORD.encode() in front.heard


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_both_servers_are_told_of_by_their_certificate(
    front: TlsFront, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as servers that do not run: one would look for the fault in the wrong place."""
    if host == "localhost":
        monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    made = settings(front, host)
    for server, ask in (("Redis", ask_state), ("the broker", count)):
        with pytest.raises(ServiceUnreachable, match=f"^The certificate of {server} is not trusted: ") as refused:
            ask(made)
        assert ("'localhost'" in str(refused.value)) == (host == "localhost")
        assert "SSL_CERT_FILE" in refused.value.remedy


def ask_state(made: Settings) -> None:
    with translated():
        connect(made.redis_url).ping()


@pytest.mark.parametrize("url", ["REDISS://{}", "rediss://{0};rediss://{0}", "rediss://{}?ssl_check_hostname=true"])
def test_no_way_to_write_the_url_does_without(front: TlsFront, url: str) -> None:
    with pytest.raises(ServiceUnreachable):
        queue_lengths(url.format(f"walter:{PASSWORD}@127.0.0.1:{front.port}/0"), QUEUES)
    assert front.heard == b""
