"""Whatever anybody puts on the broker: the worker lives, nothing of it is seen in clear, profiles go on being delivered."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from app.keys import LANES
from app.reporting.alerts import read_alerts
from app.reporting.refused import RefusedMessages
from app.resources import connect
from app.sealed_messages import derive_key, seal_message
from tests.system.rig import Rig, profile
from tests.system.test_celery_clients import dump

MARK = "Markerson"
HEADERS = {"task": "activation.enqueue", "id": "abc", "lang": "py", "retries": 0}
KWARGS = {"destination": "camp", "profiles": [{"person": {"name": {"firstName": MARK}}}]}


def envelope(body: Any = ([], KWARGS, {}), headers: Any = HEADERS, **more: Any) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    document = {
        "body": base64.b64encode(raw).decode(), "content-type": "application/json", "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "delivery_tag": "tag", "delivery_info": {"exchange": "", "routing_key": "activation"}, "body_encoding": "base64",
            "priority": 0,
        },
    }  # fmt: skip
    return json.dumps(document | more).encode()


UNREADABLE = [
    envelope(body=[[MARK], {"profiles": []}]),
    envelope(body=b""),
    envelope(body=b"null"),
    envelope(body={}),
    envelope(body=[[], {}, {}, MARK]),
    envelope(body=MARK.encode()),
    envelope(**{"content-type": None}),
    envelope(**{"content-type": f"application/{MARK}"}),
    envelope(headers={**HEADERS, "id": [MARK]}),
    envelope(headers={**HEADERS, "task": [MARK]}),
    envelope(headers={**HEADERS, "task": f"activation.{MARK}"}),
    envelope(headers={**HEADERS, "timelimit": [1]}),
    envelope(headers={**HEADERS, "eta": MARK}),
    envelope(headers={**HEADERS, "expires": MARK}),
    envelope(headers={**HEADERS, "compression": MARK}),
    envelope(headers={**HEADERS, "compression": "application/x-gzip"}),
    envelope(headers=None),
    envelope(headers=[MARK]),
    envelope(properties={}),
    envelope(properties=None),
    MARK.encode(),
    b"",
    b"\xff\x00" + MARK.encode(),
    json.dumps([MARK]).encode(),
    b"[" * 200_000,
]
WRONG_ARGUMENTS: list[dict[str, Any]] = [
    {"args": [[KWARGS["profiles"]], "camp"]},  # swapped
    {"kwargs": {"destination": KWARGS["profiles"][0], "profiles": []}},  # type: ignore[index]
    {"kwargs": {"destination": "camp", f"\n{MARK}": 1, "profiles": []}},
    {"kwargs": {"destination": "camp", "profiles": MARK}},
    {"kwargs": {"destination": "camp", "profiles": f"sealed:1:{MARK}"}},
    {"kwargs": {"destination": MARK.lower(), "profiles": [{}]}},  # nobody is connected by that name
    {"kwargs": {**KWARGS, "job_id": f"{MARK}\n[2026] CRITICAL forged"}},
    {"kwargs": {**KWARGS, "occurred_at": MARK}},
    {"kwargs": {**KWARGS, "backfill": MARK}},
    {"args": ["camp", [], None, None, False, False, MARK]},
    {},
]
NO_WAKE_UPS: list[list[Any]] = [
    *(["camp", str(lane)] for lane in range(LANES)),
    ["camp", -1],
    ["camp", 10**30],
    ["camp", MARK],
    ["camp", 4, {MARK: 1}],
    [{MARK: 1}, 4],
]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_nothing_on_the_broker_ends_a_worker_or_shows_what_was_sent(make_rig: Callable[..., Rig], level: str) -> None:
    rig = make_rig(workers=1, log_level=level)
    rig.connect()
    rig.start()
    broker: Any = connect(rig.settings.broker_url)
    for queue in ("activation", "delivery"):
        for number, item in enumerate(UNREADABLE):
            broker.lpush(queue, item.replace(b'"tag"', f'"{queue}-{number}"'.encode()))
    client = Celery(broker=rig.settings.broker_url, set_as_current=False)
    for wrong in WRONG_ARGUMENTS:
        client.send_task("activation.enqueue", queue="activation", argsrepr="", kwargsrepr="", **wrong)
    waiting = rig.producer.enqueue("camp", [profile(f"c-{n}", email="c@mail.test") for n in range(50)])
    for wrong_args in NO_WAKE_UPS:
        client.send_task("activation.deliver", wrong_args, queue="delivery", argsrepr="", kwargsrepr="")
    client.close()
    refused = RefusedMessages(rig.resources)
    expected = 2 * len(UNREADABLE) + len(WRONG_ARGUMENTS)
    rig.wait_until(lambda: refused.count() >= expected, "all are refused", 60)
    job = rig.producer.enqueue("camp", [profile("well", email="well@mail.test")])
    assert rig.settled([job, waiting], 30).outcomes["delivered"] == 51
    assert refused.count() == expected
    assert rig.stack.restarts == []
    kept = refused.all()
    assert len(kept) == expected
    assert any(one.content and MARK.encode() in one.content for one in kept), "the operator can look at them"
    rig.wait_until(
        lambda: any(one.alert.kind == "message_refused" for one in read_alerts(rig.redis).open), "an alert is open", 30
    )
    alerts = read_alerts(rig.redis)
    # while the one worker starts, a sweep may find none
    told = [(event.what, event.alert.kind) for event in alerts.events if event.alert.kind != "no_worker"]
    assert told == [("opened", "message_refused")]
    seen = {
        "logs": b"".join(path.read_bytes() for path in rig.stack.logs.glob("*.log")),
        "state": dump(rig.settings.redis_url),
        "alerts": repr(alerts).encode(),
        "reasons": repr([one.why for one in kept]).encode(),
    }
    assert [place for place, content in seen.items() if MARK.encode() in content or b"markerson" in content] == []
    assert b"forged" not in seen["logs"]


def test_sealed_messages_are_taken_and_clear_ones_refused_where_it_is_set_so(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1, clear_messages="refuse")
    rig.connect()
    rig.start()
    key = base64.urlsafe_b64encode(derive_key(rig.resources.ring.data_keys[0], "crm")).decode()
    text = seal_message(
        key, "crm", "camp", [profile("a", email="a@mail.test", first="Sealed")], job_id="sealed",
        sealed_at_ms=rig.resources.clock.now_ms(),
    )  # fmt: skip
    client = Celery(broker=rig.settings.broker_url, set_as_current=False)

    def send(profiles: Any) -> None:
        client.send_task("activation.enqueue", queue="activation", kwargs={"destination": "camp", "profiles": profiles})

    send([profile("b", email="b@mail.test", first="Clear")])
    send(text)
    refused = RefusedMessages(rig.resources)
    rig.wait_until(lambda: refused.count() == 1 and rig.contacts(), "one is refused, one delivered", 30)
    assert rig.settled(["sealed"]).outcomes["delivered"] == 1
    newer = rig.producer.enqueue("camp", [profile("a", email="a@mail.test", first="Newer")])
    rig.settled([newer])
    send(text)  # captured on its way and sent again
    rig.wait_until(lambda: rig.settled(["sealed"]).received == 2, "it came again", 30)
    rig.settled(["sealed"])
    assert rig.contacts()["a"]["Email Demographics.First Name"] == "Newer"
    assert rig.contacts().keys() == {"a"}
    assert b"Sealed" not in dump(rig.settings.broker_url)
    client.close()
