"""The rights of each role on a broker that is a real Redis: enough for Celery and kombu as they are, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import NoPermissionError

from app.acl import ROLES, rule_of
from app.broker import broker_settings
from app.settings import Settings
from tasks.config import celery_config

ENQUEUE = "activation.enqueue"


@pytest.fixture
def broker(redis: Redis, redis_port: int) -> Iterator[Redis]:
    admin: Any = redis
    roles = [role for role in ROLES if role.server == "broker"]
    for role in roles:
        admin.execute_command("ACL", "SETUSER", *rule_of(role, "pw").split())
    yield redis
    for role in roles:
        admin.execute_command("ACL", "DELUSER", role.name)


def url(broker: Redis, user: str) -> str:
    return f"redis://{user}:pw@127.0.0.1:{broker.connection_pool.connection_kwargs['port']}/0"


@pytest.fixture
def application(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = []

    def make(user: str) -> Celery:
        monkeypatch.setenv("ACTIVATION_BROKER_URL", url(broker, user))
        app = Celery(user, set_as_current=False)
        app.conf.update(celery_config(Settings.from_env()))
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.mark.parametrize("user", ["worker", "beat", "flower"])
def test_celery_sends_takes_and_answers(application, broker, user):
    """All that the transport does to Redis: queues bound, messages sent, taken, acknowledged; workers asked and events heard."""
    app = application(user)
    app.send_task("maintenance.sweep", queue="maintenance")
    taken = []
    with app.connection_for_read() as connection:
        with app.events.Receiver(connection).consumer_context(), app.amqp.TaskConsumer(connection) as consumer:
            consumer.register_callback(lambda _, message: taken.append(message))
            while not taken:
                connection.drain_events(timeout=10)
            taken[0].ack()
        assert taken[0].headers["task"] == "maintenance.sweep"
    assert broker.hlen("unacked") == 0
    app.control.broadcast("ping")
    assert app.control.ping(timeout=0.2) == []


def test_a_sender_enqueues_with_celery(broker):
    with Celery("elsewhere", broker=url(broker, "sender"), set_as_current=False) as app:
        app.conf.task_ignore_result = True
        app.conf.update(broker_settings(url(broker, "sender")))
        app.send_task(ENQUEUE, kwargs={"destination": "camp", "profiles": []}, queue="activation")
    assert broker.llen("activation") == 1


def test_a_sender_enqueues_without_celery(broker):
    with Redis.from_url(url(broker, "sender")) as client:
        client.lpush("activation", "{}")


@pytest.mark.parametrize(
    "command",
    [
        ("LRANGE", "activation", "0", "-1"),
        ("RPOP", "activation"),
        ("DEL", "activation"),
        ("LPUSH", "delivery", "{}"),
        ("LPUSH", "maintenance", "{}"),
        ("PUBLISH", "/0.celery.pidbox", "{}"),
        ("SUBSCRIBE", "/0.celery.pidbox"),
        ("HGETALL", "unacked"),
        ("SREM", "_kombu.binding.activation", "x"),
        ("SADD", "_kombu.binding.delivery", "x"),
        ("EVAL", "return 1", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
    ],
)
def test_a_sender_can_do_nothing_else(broker, command):
    with Redis.from_url(url(broker, "sender")) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("user", ["worker", "beat", "flower"])
@pytest.mark.parametrize(
    "command",
    [("FLUSHALL",), ("CONFIG", "GET", "*"), ("SHUTDOWN",), ("KEYS", "*"), ("ACL", "LIST"), ("CLIENT", "LIST")],
)
def test_nobody_rules_the_broker(broker, user, command):
    with Redis.from_url(url(broker, user)) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)
