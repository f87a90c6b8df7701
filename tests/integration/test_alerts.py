"""Alerts on a real Redis, told to real receivers: an HTTP server, and an SMTP server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import Any

import orjson
import pytest
from aiosmtpd.controller import Controller

from app.destinations.model import AlertChannel
from app.destinations.state import Status
from app.errors import DestinationBroken
from app.intake.counts import Counts
from app.keys import ALERTS_MUTED, ALERTS_OUTBOX, LANES, PROCESSES, SWEEP, SWEPT, AccountKeys
from app.reporting import channels, outbox
from app.reporting.alerts import (
    ANY,
    Alert,
    AlertEvent,
    Mute,
    What,
    mute,
    raise_alert,
    read_alerts,
    read_open,
    unmute,
)
from app.reporting.channels import ChannelFailed
from app.reporting.metrics import PipelineCollector
from app.reporting.outbox import deliver_alone, deliver_due, has_due, messages_for
from app.reporting.presence import Presence
from app.reporting.processes import note_process, read_processes, this_process
from app.reporting.refused import RefusedMessages
from app.resources import Resources
from app.sealing import make_key
from app.sweep import sweep
from app.sweep.alerts import Judgement
from tests.integration.intake.conftest import wait_until
from tests.integration.lanes.conftest import Bench, waiting
from tests.system.rig import profile

DAY_MS = 86_400_000


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted; answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.answers = threading.Event()  # until then it hangs
        self.answers.set()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.server.answers.wait(10)
        self.send_response(self.server.status)
        self.send_header("location", f"{self.server.url}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Mailbox:
    """Keeps what is mailed."""

    mails: list[Any] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802  # the name that aiosmtpd asks for
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail_server() -> Iterator[tuple[Mailbox, int]]:
    from app.devstack.stack import port_from

    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port_from(0))
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    worker = this_process("worker-1@here", "worker", now_ms=0, queues=("activation", "delivery"))
    note_process(made.redis, worker, now_ms=made.resources.clock.now_ms() + DAY_MS)
    yield made
    made.close()


def with_settings(bench: Bench, **changes: Any) -> Resources:
    return Resources.from_settings(replace(bench.resources.settings, **changes))


def break_it(bench: Bench) -> None:
    error = DestinationBroken("Not accepted.", code="bad_credentials", remedy="Mend it.")
    state = bench.resources.states.get("camp")
    bench.resources.states.fail("camp", error, status=Status.STOPPED, generation=state.generation)


def mend(bench: Bench) -> None:
    bench.redis.delete(bench.keys.state)


def later(resources: Resources, seconds: float) -> None:
    """The clock of this process goes on."""
    resources.clock.now_ms()
    resources.clock._server.ahead_seconds += seconds


def events(bench: Bench) -> list[tuple[str, str]]:
    return [(event.what, event.alert.kind) for event in reversed(read_alerts(bench.redis).events)]


def test_an_alert_opens_once_is_repeated_and_closes_and_each_is_told(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    break_it(bench)
    for _ in range(3):
        sweep(made, bench.waker)
    assert [alert.alert.kind for alert in read_alerts(bench.redis).open] == ["stopped"]
    later(made, 6 * 3600 + 1)
    sweep(made, bench.waker)
    mend(bench)
    sweep(made, bench.waker)
    assert read_open(bench.redis), "it does not close at once: it may come and go"
    later(made, 61)
    sweep(made, bench.waker)
    assert events(bench) == [("opened", "stopped"), ("repeated", "stopped"), ("closed", "stopped")]
    assert read_open(bench.redis) == {}
    assert deliver_due(made) == 3
    told = sorted((orjson.loads(body) for _, _, body in receiver.seen), key=lambda one: one["at"])
    assert [one["event"] for one in told] == ["opened", "repeated", "closed"]
    assert told[0] | {"at": "", "opened_at": ""} == {
        "event": "opened", "kind": "stopped", "severity": "critical", "destination": "camp",
        "text": "Not accepted. (bad_credentials)", "remedy": "Mend it.", "at": "", "opened_at": "",
    }  # fmt: skip
    assert deliver_due(made) == 0


def test_every_channel_of_the_settings_and_of_the_destination_is_told(
    bench: Bench, receiver: Receiver, mail_server: tuple[Mailbox, int]
) -> None:
    box, port = mail_server
    made = with_settings(
        bench, alert_url=f"{receiver.url}/hook", alert_secret="whsec_" + base64.b64encode(b"k" * 24).decode(),
        alert_slack_url=f"{receiver.url}/slack", alert_email_to="ops@mail.test, boss@mail.test",
        smtp_url=f"smtp://127.0.0.1:{port}",
    )  # fmt: skip
    own = AlertChannel("webhook", f"{receiver.url}/own", kinds=("stopped",))
    other = AlertChannel("webhook", f"{receiver.url}/other", kinds=("run_failed",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(own, other)))
    break_it(bench)
    sweep(made, bench.waker)
    assert has_due(bench.redis, now_ms=made.clock.now_ms())
    assert b"127.0.0.1" not in b"".join(bench.redis.hvals(ALERTS_OUTBOX)), "whoever knows the URL may write to it"
    assert deliver_due(made) == 5
    posted = {path: (headers, body) for path, headers, body in receiver.seen}
    assert sorted(posted) == ["/hook", "/own", "/slack"]
    headers, body = posted["/hook"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"k" * 24, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert "webhook-signature" not in posted["/own"][0]
    assert orjson.loads(posted["/slack"][1])["text"].startswith(":warning: *stopped of camp*\nNot accepted.")
    assert sorted(mail.rcpt_tos[0] for mail in box.mails) == ["boss@mail.test", "ops@mail.test"]
    text = box.mails[0].content.decode()
    assert "Subject: [activation] stopped of camp" in text
    assert "Mend it." in text


def test_a_channel_that_does_not_take_it_gets_it_again_and_no_redirect_is_followed(
    bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)  # a delay may also be none
    made = with_settings(bench, alert_url=f"{receiver.url}/secret-path")
    receiver.status = 302
    break_it(bench)
    sweep(made, bench.waker)
    assert deliver_due(made) == 0
    assert deliver_due(made) == 0, "not before its time"
    later(made, 30)
    receiver.status = 204
    assert deliver_due(made) == 1
    assert [path for path, _, _ in receiver.seen] == ["/secret-path", "/secret-path"]
    assert receiver.seen[0][1]["webhook-id"] == receiver.seen[1][1]["webhook-id"]
    assert "HTTP 302" in caplog.text
    assert "secret-path" not in caplog.text


def test_a_channel_that_is_away_holds_up_no_other(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=f"{receiver.url}/well", alert_slack_url="http://127.0.0.1:1/away")
    event = AlertEvent(What.OPENED, made.clock.now_ms(), Alert("no_worker", "", "None."), made.clock.now_ms())
    (well, away) = sorted(messages_for(event, made, None), key=lambda message: b"slack" in message)
    for number in range(150):
        bench.redis.hset(ALERTS_OUTBOX, f"away-{number}", away)
    bench.redis.hset(ALERTS_OUTBOX, "well", well)
    assert deliver_due(made) == 1
    tried = [orjson.loads(value)["tries"] for value in bench.redis.hvals(ALERTS_OUTBOX)]
    assert sorted(tried) == [0] * 149 + [1]


class Trickle:
    """Says a line of an answer that does not end, time and again, for as long as somebody listens."""

    def __init__(self, greeting: bytes, line: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.lines = 0
        self._greeting, self._line = greeting, line
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        connection, _ = self._server.accept()
        with connection, suppress(OSError):
            connection.sendall(self._greeting)
            for self.lines in range(1, 200):
                connection.sendall(self._line)
                time.sleep(0.05)

    def close(self) -> None:
        self._server.close()


@pytest.mark.parametrize("scheme", ["http", "smtp", "smtps"])
def test_an_answer_that_comes_byte_by_byte_takes_no_longer_than_any(
    bench: Bench, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "HTTP_SECONDS", 0.5)  # each byte of it comes sooner
    monkeypatch.setattr(channels, "MAIL_SECONDS", 0.5)
    trickle = Trickle(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n") if scheme == "http" else Trickle(b"", b"220-x\r\n")
    address = f"{scheme}://127.0.0.1:{trickle.port}"
    settings = replace(bench.resources.settings, smtp_url=address, alert_email_from="activation@mail.test")
    channel = AlertChannel("webhook", address) if scheme == "http" else AlertChannel("email", "ops@mail.test")
    event = AlertEvent(What.OPENED, 1, Alert("no_worker", "", "None."), 1)
    with pytest.raises(ChannelFailed, match=r"not answer|did not take it"):
        channels.send(channel, event, "id", settings)
    assert trickle.lines < 100
    trickle.close()


def test_a_mail_server_that_takes_its_time_for_each_answer_takes_the_mail(
    bench: Bench, mail_server: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, port = mail_server
    monkeypatch.setattr(channels, "HTTP_SECONDS", 0.0)
    settings = replace(
        bench.resources.settings, smtp_url=f"smtp://127.0.0.1:{port}", alert_email_from="activation@mail.test"
    )
    event = AlertEvent(What.OPENED, 1, Alert("no_worker", "", "None."), 1)
    channels.send(AlertChannel("email", "ops@mail.test"), event, "id", settings)
    assert len(box.mails) == 1


def test_a_channel_whose_address_leads_nowhere_holds_up_no_other(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    nowhere = AlertChannel("webhook", "https://hooks..example.test/x")
    bench.resources.destinations.save(replace(bench.destination, alerts=(nowhere,)))
    break_it(bench)
    sweep(made, bench.waker)
    assert deliver_due(made) == 1
    (left,) = bench.redis.hvals(ALERTS_OUTBOX)
    assert orjson.loads(left)["channel"].startswith("camp/webhook-")
    assert orjson.loads(left)["tries"] == 1


def test_a_message_that_waits_goes_to_its_own_channel_wherever_that_stands_by_now(
    bench: Bench, receiver: Receiver
) -> None:
    ops = AlertChannel("webhook", f"{receiver.url}/ops", kinds=("stopped",))
    other = AlertChannel("slack", f"{receiver.url}/other", kinds=("run_succeeded",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(ops,)))
    break_it(bench)
    sweep(bench.resources, bench.waker)
    bench.resources.destinations.save(replace(bench.destination, alerts=(other, ops)))
    assert deliver_due(bench.resources) == 1
    assert [path for path, _, _ in receiver.seen] == ["/ops"]


def test_a_message_finds_its_channel_while_the_sealing_keys_change(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    break_it(bench)
    sweep(made, bench.waker)
    rotated = with_settings(
        bench, alert_url=receiver.url, secret_keys=f"{make_key()},{bench.resources.settings.secret_keys}"
    )
    assert deliver_due(rotated) == 1


def test_one_address_that_is_named_twice_is_told_once(bench: Bench, receiver: Receiver) -> None:
    ops = AlertChannel("webhook", receiver.url, kinds=("stopped",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(ops, replace(ops, kinds=("all",)))))
    break_it(bench)
    sweep(bench.resources, bench.waker)
    assert deliver_due(bench.resources) == 1
    assert len(receiver.seen) == 1


def test_a_message_whose_channel_is_gone_waits_for_it_and_says_so(
    bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)  # a delay may also be none
    ops = AlertChannel("webhook", f"{receiver.url}/secret-path", kinds=("stopped",))
    other = AlertChannel("webhook", f"{receiver.url}/other", kinds=("stopped",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(ops,)))
    break_it(bench)
    sweep(bench.resources, bench.waker)
    bench.resources.destinations.save(replace(bench.destination, alerts=(other,)))
    assert deliver_due(bench.resources) == 0
    assert "no channel of this name is set any more. It is tried again." in caplog.text
    assert "secret-path" not in caplog.text
    bench.resources.destinations.save(replace(bench.destination, alerts=(other, ops)))
    later(bench.resources, 30)
    assert deliver_due(bench.resources) == 1
    assert [path for path, _, _ in receiver.seen] == ["/secret-path"]


def test_messages_of_a_destination_that_is_gone_are_given_up_at_once(
    bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    ops = AlertChannel("webhook", receiver.url, kinds=("stopped",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(ops,)))
    break_it(bench)
    sweep(bench.resources, bench.waker)
    bench.resources.destinations.remove("camp")
    assert deliver_due(bench.resources) == 0
    assert bench.redis.hlen(ALERTS_OUTBOX) == 0
    assert "is given up: its destination is not connected any more." in caplog.text


def test_a_message_waits_while_no_key_opens_its_destination(bench: Bench, receiver: Receiver) -> None:
    ops = AlertChannel("webhook", receiver.url, kinds=("stopped",))
    bench.resources.destinations.save(replace(bench.destination, alerts=(ops,)))
    break_it(bench)
    sweep(bench.resources, bench.waker)
    assert deliver_due(with_settings(bench, secret_keys=make_key())) == 0
    later(bench.resources, 30)
    assert deliver_due(bench.resources) == 1


@pytest.mark.parametrize(
    ("place", "kinds", "taken"),
    [("camp/0", ("no_worker",), 1), ("camp/0", ("run_succeeded",), 0), ("camp/1", ("no_worker",), 0)],
)
def test_a_message_that_an_earlier_build_named_by_place_goes_to_who_stands_there_and_wants_it(
    bench: Bench, receiver: Receiver, place: str, kinds: tuple[str, ...], taken: int
) -> None:
    there = AlertChannel("webhook", receiver.url, kinds=kinds)
    bench.resources.destinations.save(replace(bench.destination, alerts=(there,)))
    put(bench.resources, place)
    assert deliver_due(bench.resources) == taken
    assert bench.redis.hlen(ALERTS_OUTBOX) == 1 - taken


def test_a_process_goes_on_saying_that_it_is_alive_whatever_its_watch_meets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.reporting.presence.FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("app.reporting.presence.NOTE_SECONDS", 0.0)
    again, met = threading.Event(), list[int]()

    def watch() -> None:
        met.append(1)
        if len(met) > 1:
            again.set()
        raise ValueError("of something secret")

    presence = Presence(bench.resources, "worker-2@here", "worker", ("delivery",), watch)
    presence.begin()
    try:
        assert again.wait(10)
        assert "worker-2@here" in [process.name for process in read_processes(bench.redis)]
    finally:
        presence.end()
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_after_a_day_it_is_given_up(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    receiver.status = 500
    break_it(bench)
    sweep(made, bench.waker)
    later(made, 86_401)
    assert deliver_due(made) == 0
    assert bench.redis.hlen(ALERTS_OUTBOX) == 0


def put(resources: Resources, *channels: str) -> None:
    """A message for each of these channels."""
    now_ms = resources.clock.now_ms()
    event = asdict(AlertEvent(What.OPENED, now_ms, Alert("no_worker", "", "None."), now_ms))
    for number, channel in enumerate(channels):
        message = {"channel": channel, "event": event, "due_ms": now_ms, "tries": 0}
        resources.redis.hset(ALERTS_OUTBOX, f"message-{number}", orjson.dumps(message))


def test_while_a_channel_hangs_one_task_waits_for_it_and_no_other(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=f"{receiver.url}/webhook", alert_slack_url=f"{receiver.url}/slack")
    put(made, "webhook", "slack")
    receiver.answers.clear()
    first = threading.Thread(target=deliver_alone, args=(made,))
    first.start()
    try:
        wait_until(lambda: receiver.seen, "the channel is asked")
        assert deliver_alone(made) == 0
        assert len(receiver.seen) == 1
    finally:
        receiver.answers.set()
        first.join()
    assert len(receiver.seen) == 2
    put(made, "webhook")
    assert deliver_alone(made) == 1, "the next one has its turn"


def test_a_run_begins_no_message_after_its_time(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    put(made, "webhook", "webhook", "webhook")
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "RUN_SECONDS", 0.0)
        assert deliver_due(made) == 1
    assert [orjson.loads(value)["tries"] for value in bench.redis.hvals(ALERTS_OUTBOX)] == [0, 0]
    assert deliver_due(made) == 2


def test_two_that_deliver_send_each_message_once(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    break_it(bench)
    sweep(made, bench.waker)
    threads = [threading.Thread(target=deliver_due, args=(made,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.seen) == 1


def test_a_muted_alert_opens_and_tells_nobody(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    mute(bench.redis, Mute("stopped", ANY, 0))
    break_it(bench)
    sweep(made, bench.waker)
    found = read_alerts(bench.redis)
    assert [(event.what, event.muted) for event in found.events] == [("opened", True)]
    assert found.muted == (Mute("stopped", ANY, 0),)
    assert bench.redis.hlen(ALERTS_OUTBOX) == 0
    assert unmute(bench.redis, "stopped", ANY)
    assert not unmute(bench.redis, "stopped", ANY)


def test_what_opens_while_it_is_muted_is_told_when_the_mute_has_ended(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    mute(bench.redis, Mute(ANY, ANY, made.clock.now_ms() + 3_600_000))
    break_it(bench)
    for _ in range(2):
        sweep(made, bench.waker)
    assert [(event.what, event.muted) for event in read_alerts(bench.redis).events] == [("opened", True)]
    assert bench.redis.hlen(ALERTS_OUTBOX) == 0
    later(made, 3_601)
    for _ in range(2):
        sweep(made, bench.waker)
    assert events(bench) == [("opened", "stopped"), ("repeated", "stopped")]
    assert deliver_due(made) == 1
    assert bench.redis.hlen(ALERTS_MUTED) == 0, "what has ended is not kept"


def test_what_happened_opens_an_alert_that_closes_an_hour_later(bench: Bench) -> None:
    RefusedMessages(bench.resources).keep("it is no JSON", b"x")
    RefusedMessages(bench.resources).keep("it is no JSON", b"x")
    sweep(bench.resources, bench.waker)
    later(bench.resources, 1800)
    sweep(bench.resources, bench.waker)
    assert [alert.alert.kind for alert in read_alerts(bench.redis).open] == ["message_refused"]
    for seconds in (1801, 61):
        later(bench.resources, seconds)
        sweep(bench.resources, bench.waker)
    assert events(bench) == [("opened", "message_refused"), ("closed", "message_refused")]


def state_samples(bench: Bench) -> set[str]:
    """The states that the metrics say of the destination."""
    families = PipelineCollector(bench.redis, bench.resources.settings).collect()
    (states,) = (family.samples for family in families if family.name == "activation_destination_state")
    return {sample.labels["state"] for sample in states if sample.value}


def test_a_destination_that_no_key_opens_is_told_of_until_its_key_is_back(bench: Bench, receiver: Receiver) -> None:
    lost = with_settings(bench, alert_url=receiver.url, secret_keys=make_key(), failures_kept=1)
    now_ms = lost.clock.now_ms()
    bench.redis.xadd(bench.keys.lane(0).live, waiting("job-1", now_ms - 5 * 3_600_000))
    bench.redis.zadd(bench.keys.failures, {"a": now_ms - 2, "b": now_ms - 1})
    bench.redis.hset(bench.keys.failed, mapping={"a": b"x", "b": b"x"})
    bench.redis.hset(bench.keys.run(bench.hour() - 1), mapping={"received": 10, "failed": 10})
    sweep(lost, bench.waker)
    found = {item.alert.kind: item.alert for item in read_alerts(bench.redis).open}
    assert found.keys() >= {"unreadable", "run_delayed", "run_failed"}
    assert "(seal_broken)" in found["unreadable"].text
    assert "ACTIVATION_SECRET_KEYS" in found["unreadable"].remedy
    assert state_samples(bench) == {"unreadable"}
    assert bench.redis.zrange(bench.keys.failures, 0, -1) == [b"b"], "what is kept is bounded all the same"
    assert deliver_due(lost) >= 3
    for _ in range(2):
        sweep(bench.resources, bench.waker)
        assert state_samples(bench) == {"enabled"}
        later(bench.resources, 61)
    assert ("closed", "unreadable") in events(bench)
    assert "unreadable|camp" not in read_open(bench.redis)


def test_an_open_alert_says_what_is_true_now_and_is_told_once(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    for failed in (10, 8_000):
        bench.redis.hset(
            bench.keys.run(bench.hour() - 1), mapping={"received": 9_000, "delivered": 90, "failed": failed}
        )
        sweep(made, bench.waker)
    (found,) = (item for item in read_alerts(bench.redis).open if item.alert.kind == "run_failed")
    assert found.alert.text.startswith("8,000 of 8,090 profiles")
    assert [kind for _, kind in events(bench)].count("run_failed") == 1


def test_what_is_said_of_dropped_failures_is_true_of_all_of_them(bench: Bench) -> None:
    made = with_settings(bench, failures_kept=10)
    now_ms = made.clock.now_ms()
    for count in (5, 1):
        ids = [f"{count}-{number}" for number in range(10 + count)]
        bench.redis.zadd(bench.keys.failures, dict.fromkeys(ids, now_ms))
        bench.redis.hset(bench.keys.failed, mapping=dict.fromkeys(ids, b"x"))
        sweep(made, bench.waker)
    text = read_open(bench.redis)["failures_dropped|camp"].alert.text
    assert text == "Failed profiles are dropped, the oldest first: kept are at most 10, for 30 days."


def test_what_happened_to_a_destination_that_is_gone_is_told_nobody(bench: Bench) -> None:
    raise_alert(bench.redis, Alert("failures_dropped", "camp", "Dropped."), now_ms=bench.resources.clock.now_ms())
    bench.resources.destinations.remove("camp")
    sweep(bench.resources, bench.waker)
    assert not read_open(bench.redis)


def test_a_sweep_runs_though_the_clock_of_redis_stepped_back(bench: Bench) -> None:
    """Its guard stands for as long as the step, then."""
    bench.redis.set(SWEEP, "1", px=3_600_000)
    sweep(with_settings(bench, sweep_seconds=5.0), bench.waker)
    assert bench.redis.exists(SWEPT)
    assert bench.redis.pttl(SWEEP) < 60_000


def test_alerts_of_a_destination_that_is_gone_close(bench: Bench) -> None:
    break_it(bench)
    sweep(bench.resources, bench.waker)
    bench.resources.destinations.remove("camp")
    for _ in range(2):
        sweep(bench.resources, bench.waker)
        later(bench.resources, 61)
    assert events(bench)[-1] == ("closed", "stopped")


def test_the_five_of_adobe_are_told_to_who_wants_them(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url, alert_kinds="all")
    hour = bench.hour()
    bench.redis.hset(bench.keys.run(hour - 1), mapping={"received": 10, "delivered": 9, "excluded": 1})
    bench.producer.enqueue("camp", [profile("a", email="a@mail.test")])
    for _ in range(2):
        sweep(made, bench.waker)
    deliver_due(made)
    told = sorted((orjson.loads(body)["kind"], orjson.loads(body)["event"]) for _, _, body in receiver.seen)
    assert told == [("run_started", "noted"), ("run_succeeded", "noted"), ("skipped_rate", "opened")]
    receiver.seen.clear()
    bench.redis.hset(bench.keys.run(hour - 1), "failed", 5)
    empty = next(lane for lane in map(bench.keys.lane, range(LANES)) if not bench.redis.exists(lane.live))
    bench.redis.xadd(empty.live, waiting("job-1", made.clock.now_ms() - 9_100_000))
    sweep(made, bench.waker)
    deliver_due(made)
    kinds = [orjson.loads(body)["kind"] for _, _, body in receiver.seen]
    assert sorted(kinds) == ["backlog_age", "run_delayed", "run_failed"]


def test_profiles_whose_every_call_fails_are_parked_and_late_all_the_same(bench: Bench) -> None:
    now_ms = bench.resources.clock.now_ms()
    bench.redis.xadd(bench.keys.lane(0).parked, waiting("job-1", now_ms - 9_100_000))
    for _ in range(2):  # as many as it takes to close what is not called for any more
        sweep(bench.resources, bench.waker)
        later(bench.resources, 61)
    assert events(bench) == [("opened", "backlog_age"), ("opened", "run_delayed")]


def test_what_waited_through_a_pause_is_not_late_the_moment_it_ends(bench: Bench) -> None:
    bench.redis.xadd(bench.keys.lane(0).live, waiting("job-1", bench.resources.clock.now_ms() - 3_600_000))
    bench.resources.states.pause("camp")
    bench.resources.states.resume("camp")
    sweep(bench.resources, bench.waker)
    assert events(bench) == []


def test_a_parked_backfill_is_not_late(bench: Bench) -> None:
    now_ms = bench.resources.clock.now_ms()
    bench.redis.xadd(bench.keys.lane(0).parked, waiting("job-1", now_ms - 9_100_000) | {"f": "b"})
    sweep(bench.resources, bench.waker)
    assert events(bench) == []


def test_what_a_used_up_year_means_is_known_without_a_key(bench: Bench) -> None:
    limits = replace(bench.destination.limits, calls_per_year=5, stop_at_yearly_quota=True)
    bench.resources.destinations.save(replace(bench.destination, limits=limits))
    bench.redis.hset(AccountKeys(bench.destination.account.key).calls, f"y{datetime.now(UTC).year}", 5)
    sweep(with_settings(bench, secret_keys=make_key()), bench.waker)
    assert "delivery stands still" in read_open(bench.redis)["quota_95|camp"].alert.text


def test_a_worker_tells_that_nothing_is_swept(bench: Bench, receiver: Receiver) -> None:
    made = with_settings(bench, alert_url=receiver.url)
    now_ms = made.clock.now_ms()
    bench.redis.set(SWEPT, now_ms - 30_000)
    assert not Judgement(made).watch(up_seconds=900)
    bench.redis.set(SWEPT, now_ms - 70_000)
    assert not Judgement(made).watch(up_seconds=1), "it may be on its way, as after a downtime"
    assert read_open(bench.redis) == {}
    assert Judgement(made).watch(up_seconds=900)
    assert list(read_open(bench.redis)) == ["no_beat|"]
    deliver_due(made)
    assert orjson.loads(receiver.seen[0][2])["kind"] == "no_beat"
    assert not Judgement(made).watch(up_seconds=1)
    assert not read_open(bench.redis)["no_beat|"].gone_ms, "a worker that has just begun cannot tell that it is over"
    bench.redis.set(SWEPT, now_ms)
    assert not Judgement(made).watch(up_seconds=1)
    assert read_open(bench.redis)["no_beat|"].gone_ms


def test_a_full_redis_is_told_by_it(bench: Bench) -> None:
    sweep(bench.resources, bench.waker)
    bench.redis.config_set("maxmemory", bench.redis.info("memory")["used_memory"] // 2)
    try:
        sweep(bench.resources, bench.waker)
        sample = {
            metric.name: metric.samples for metric in PipelineCollector(bench.redis, bench.resources.settings).collect()
        }
    finally:
        bench.redis.config_set("maxmemory", 0)
    assert sorted(events(bench)) == [("opened", "redis_filling_up"), ("opened", "redis_full")]
    (used,), (most,) = sample["activation_redis_memory_used_bytes"], sample["activation_redis_memory_max_bytes"]
    assert used.value > most.value > 0


def test_an_outage_of_redis_is_no_silence_of_others(bench: Bench) -> None:
    made, now = bench.resources, time.monotonic()
    bench.redis.set(SWEPT, made.clock.now_ms() - 300_000)
    bench.redis.delete(PROCESSES)
    made.signs.taken(now - 300)
    assert not Judgement(made).watch(up_seconds=900), "within the outage"
    made.signs.taken(now - 10)
    assert not Judgement(made).watch(up_seconds=900), "Redis is back, and others have not had the time"
    Judgement(made).conclude([], up_seconds=900)
    assert events(bench) == []


def test_workers_that_stay_away_after_an_outage_are_told_once(bench: Bench) -> None:
    made, now = bench.resources, time.monotonic()
    bench.redis.delete(PROCESSES)
    Judgement(made).conclude([], up_seconds=900)
    made.signs.taken(now - 10)  # a gap was before
    for _ in range(2):
        Judgement(made).conclude([], up_seconds=900)
        later(made, 61)
    note_process(bench.redis, this_process("w", "worker", now_ms=0, queues=("delivery",)), now_ms=made.clock.now_ms())
    for _ in range(2):
        Judgement(made).conclude([], up_seconds=900)
        later(made, 15)
    assert events(bench) == [("opened", "no_worker")]
    assert read_open(bench.redis)["no_worker|"].gone_ms


def test_a_process_that_gives_signs_of_life_knows_since_when_redis_takes_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reporting.presence.FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("app.reporting.presence.NOTE_SECONDS", 0.0)
    assert bench.resources.signs.unbroken_seconds(time.monotonic()) == inf
    watched = threading.Event()
    presence = Presence(bench.resources, "worker-2@here", "worker", ("delivery",), watched.set)
    presence.begin()
    try:
        assert watched.wait(10)
        assert bench.resources.signs.unbroken_seconds(time.monotonic()) < 60
    finally:
        presence.end()


def test_a_worker_tells_that_nothing_was_ever_swept(bench: Bench) -> None:
    assert not Judgement(bench.resources).watch(up_seconds=1)
    assert Judgement(bench.resources).watch(up_seconds=61)
    assert read_open(bench.redis)["no_beat|"].alert.text.startswith("Nothing has been swept: ")


def test_requests_that_the_intake_did_not_take_are_told(bench: Bench) -> None:
    counts = Counts()
    counts.answered("crm", 202, 0.1, accepted=5)
    counts.answered("-", 401, 0.1)
    counts.flush(bench.redis, bench.resources.clock.now_ms())
    sweep(bench.resources, bench.waker)
    counts.answered("crm", 202, 0.1, accepted=5)
    counts.flush(bench.redis, bench.resources.clock.now_ms())
    sweep(bench.resources, bench.waker)
    assert events(bench) == [], "what was before the first look is not news"
    counts.answered("crm", 413, 0.1)
    counts.flush(bench.redis, bench.resources.clock.now_ms())
    sweep(bench.resources, bench.waker)
    assert events(bench) == [("opened", "intake_refused")]


def test_an_alert_that_another_process_changed_is_left_alone(bench: Bench) -> None:
    break_it(bench)
    judgements = [Judgement(bench.resources) for _ in range(2)]
    state = bench.resources.states.get("camp")
    for judgement in judgements:
        judgement.look_at("camp", state)
    for judgement in judgements:
        judgement.conclude(["camp"], up_seconds=0)
    assert events(bench) == [("opened", "stopped")]
