"""Traces from enqueueing to the call, with OpenTelemetry's own exporter in memory, and by OTLP to a real HTTP receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.keys import LANES
from app.tracing import TRACES
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    yield made
    TRACES.end()
    made.close()


def deliver(bench: Bench) -> str:
    job = bench.producer.enqueue("camp", [profile("ann-1", email="ann@mail.test")])
    for lane in range(LANES):
        bench.workers[0].drain("camp", lane)
    return job


def begin(bench: Bench, share: str, **more: Any) -> None:
    TRACES.begin(replace(bench.resources.settings, traces=share), "activation-test", **more)


def test_the_spans_of_a_job_are_one_trace_and_hold_no_profile(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    begin(bench, "1", processor=SimpleSpanProcessor(exporter))
    jobs = [deliver(bench), deliver(bench)]
    spans = exporter.get_finished_spans()
    assert sorted(span.name for span in spans) == [
        "activation.call", "activation.enqueue", "activation.enqueue", "activation.profile", "activation.profile",
    ]  # fmt: skip
    of_first = [span for span in spans if span.attributes["activation.job"] == jobs[0]]
    assert len({span.context.trace_id for span in of_first}) == 1
    assert len({span.context.trace_id for span in spans}) == 2
    assert len({span.parent.span_id for span in of_first}) == 1
    outcomes = [span.attributes["activation.outcome"] for span in spans if span.name == "activation.profile"]
    assert outcomes == ["delivered", "unchanged"]
    text = "".join(span.to_json() for span in spans)
    assert "ann" not in text


def test_what_breaks_the_rows_of_a_producer_is_told_by_its_kind_alone(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    begin(bench, "1", processor=SimpleSpanProcessor(exporter))

    def rows() -> Iterator[Any]:
        yield profile("ann-1") | {"age": int("ann@mail.test")}

    with pytest.raises(ValueError, match="invalid literal"):
        bench.producer.enqueue("camp", rows())
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.status.status_code, span.status.description) == (
        "activation.enqueue", StatusCode.ERROR, "ValueError",
    )  # fmt: skip
    assert "ann" not in span.to_json()


def test_nothing_is_traced_unless_it_is_wanted(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    for share in ("", "0"):
        begin(bench, share, processor=SimpleSpanProcessor(exporter))
        deliver(bench)
    assert exporter.get_finished_spans() == ()


def test_a_share_of_the_jobs_is_traced_as_a_whole(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    begin(bench, "0.5", processor=SimpleSpanProcessor(exporter))
    jobs = [bench.producer.enqueue("camp", [], job_id=f"job-{number}") for number in range(200)]
    traced = {span.attributes["activation.job"] for span in exporter.get_finished_spans()}
    assert 60 < len(traced) < 140
    assert traced == {job for job in jobs if TRACES._is_traced(job)}


class _Collector(BaseHTTPRequestHandler):
    seen: list[bytes] = []

    def do_POST(self) -> None:
        self.seen.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_spans_are_sent_by_otlp(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    begin(bench, "1")
    deliver(bench)
    TRACES.end()
    server.shutdown()
    server.server_close()
    sent = [ExportTraceServiceRequest.FromString(body) for body in _Collector.seen]
    spans = [
        span for one in sent for group in one.resource_spans for scope in group.scope_spans for span in scope.spans
    ]
    assert {span.name for span in spans} == {"activation.enqueue", "activation.call", "activation.profile"}
