"""Traces of jobs with OpenTelemetry: enqueueing, the calls, and each profile's way from one to its outcome. Off by default.

The trace context takes no room: its id is derived from the job's id, which every waiting profile carries sealed. So a
worker on any machine adds its spans to the job's trace. Which jobs are traced also follows from the id, so all processes
agree. A span holds ids, codes and counts, and nothing of a profile.

OpenTelemetry's own variables say where spans go (OTEL_EXPORTER_OTLP_ENDPOINT and others).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from app.errors import CallError, UsageError
from app.version import installed_version

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from app.settings import Settings

_WHOLE = 1 << 64


class Traces:
    """The traces of this process. Everything is a no-op unless `begin` found that traces are wanted."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._provider: Any = None
        self._bound = 0  # jobs with a smaller digest are traced

    def begin(self, settings: Settings, service: str, *, processor: SpanProcessor | None = None) -> None:
        """Trace from now on if ACTIVATION_TRACES says so. Raises: `UsageError` if the extra `otel` is not installed."""
        share = float(settings.traces or 0)
        if not share:
            return
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
        except ImportError as error:
            raise UsageError(
                "ACTIVATION_TRACES is set, and OpenTelemetry is not installed.",
                remedy="pip install 'activation-pipeline[otel]'",
            ) from error
        about = {"service.name": service, "service.version": installed_version()}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=True)
        self._provider.add_span_processor(processor or _exporting())
        self._tracer = self._provider.get_tracer("activation", installed_version())
        self._bound = int(share * _WHOLE)

    def end(self) -> None:
        """Send what has not been sent."""
        provider, self._tracer, self._provider = self._provider, None, None
        if provider is not None:
            provider.shutdown()

    def enqueue(self, destination_id: str, job_id: str) -> AbstractContextManager[None]:
        """Return the span of one producer call, linked to the caller's own."""
        return nullcontext() if self._tracer is None else self._enqueue(destination_id, job_id)

    def call(self, destination_id: str, job_ids: Sequence[str]) -> AbstractContextManager[None]:
        """Return the span of one call, in the trace of the first job whose profiles it carries, linked to the others."""
        return nullcontext() if self._tracer is None else self._call(destination_id, job_ids)

    def settled(self, destination_id: str, job_id: str, outcome: str, enqueued_ms: int) -> None:
        """Send the span of one profile, from enqueueing (by Redis's clock) to its outcome."""
        if self._tracer is None or not self._is_traced(job_id):
            return
        span = self._tracer.start_span(
            "activation.profile",
            context=_context(job_id),
            start_time=enqueued_ms * 1_000_000,
            attributes={
                "activation.destination": destination_id,
                "activation.job": job_id,
                "activation.outcome": outcome,
            },
        )
        span.end(max(time.time_ns(), enqueued_ms * 1_000_000))

    @contextmanager
    def _enqueue(self, destination_id: str, job_id: str) -> Iterator[None]:
        if not self._is_traced(job_id):
            yield
            return
        from opentelemetry import trace
        from opentelemetry.trace import Status, StatusCode

        own = trace.get_current_span().get_span_context()
        links = [trace.Link(own)] if own.is_valid else []
        attributes = {"activation.destination": destination_id, "activation.job": job_id}
        # an exception from the caller's iterable may quote its rows, so only its kind is recorded
        with self._tracer.start_as_current_span(
            "activation.enqueue",
            context=_context(job_id),
            links=links,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    @contextmanager
    def _call(self, destination_id: str, job_ids: Sequence[str]) -> Iterator[None]:
        jobs = [job for job in dict.fromkeys(job_ids) if self._is_traced(job)]
        if not jobs:
            yield
            return
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        # an exception's text may quote the other end, so only its code is recorded
        with self._tracer.start_as_current_span(
            "activation.call",
            context=_context(jobs[0]),
            kind=SpanKind.CLIENT,
            record_exception=False,
            set_status_on_exception=False,
            links=[Link(_span_context(job)) for job in jobs[1:]],
            attributes={
                "activation.destination": destination_id,
                "activation.job": jobs[0],
                "activation.profiles": len(job_ids),
            },
        ) as span:
            try:
                yield
            except CallError as error:
                span.set_status(Status(StatusCode.ERROR, error.code))
                if error.request_id:
                    span.set_attribute("activation.request_id", error.request_id)
                raise

    def _is_traced(self, job_id: str) -> bool:
        return int.from_bytes(_digest(job_id)[16:24]) < self._bound


def _exporting() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


def _digest(job_id: str) -> bytes:
    return blake2b(job_id.encode(), digest_size=32, person=b"trace").digest()


def _span_context(job_id: str) -> Any:
    """Return the context of a job as a whole: the parent of all its spans, which is itself never sent."""
    from opentelemetry.trace import SpanContext, TraceFlags

    digest = _digest(job_id)
    return SpanContext(
        trace_id=int.from_bytes(digest[:16]) or 1,
        span_id=int.from_bytes(digest[24:32]) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _context(job_id: str) -> Any:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(_span_context(job_id)))


TRACES = Traces()  # of this process
