"""A rate that the file does not know: the server allows half of it, then all of it again."""

from __future__ import annotations

import time

from tests.benchmarks.bed import Bed, bed, person
from tests.benchmarks.table import Figure

CONFIGURED = 2_400  # calls a minute
HALF, WHOLE = 20.0, 40.0  # calls a second
LEARN_SECONDS, LOOK_SECONDS, FIND_SECONDS = 60, 60, 120


def measure() -> Figure:
    with bed(workers=4) as made:
        made.connect(calls_per_minute=CONFIGURED, max_in_flight=20)
        made.settings_of(latency_ms=200, calls_per_second=HALF, burst=4)
        made.start()
        made.producer.enqueue("camp", (person(n) for n in range(int(WHOLE * 400))))
        made.wait_until(lambda: made.summary()["contact_ok"] > 10, "under way")
        first = Span(made)
        first.last(LEARN_SECONDS)
        half = Span(made)
        half.last(LOOK_SECONDS)
        made.settings_of(calls_per_second=WHOLE)
        finding = Span(made)
        finding.last(FIND_SECONDS)
        found = Span(made)
        found.last(LOOK_SECONDS // 2)
    rows = [
        [
            name,
            f"{span.rate:.1f} of {true:.0f}",
            f"{span.rate / true:.1%}",
            str(span.refused),
            f"{span.share_refused:.2%}",
        ]
        for name, span, true in (
            ("half, first minute", first, HALF),
            ("half, second minute", half, HALF),
            ("all again, two minutes", finding, WHOLE),
            ("all, after these", found, WHOLE),
        )
    ]
    reached = half.rate >= 0.95 * HALF and half.share_refused <= 0.005 and found.rate >= 0.95 * WHOLE
    return Figure(
        "A rate that the file does not know: half of it, then all",
        target="95 % after a minute with 0.5 % refused; 95 % of twice the rate after two minutes",
        result=f"{half.rate / HALF:.1%} with {half.share_refused:.2%} refused; {found.rate / WHOLE:.1%}",
        reached=reached,
        columns=["time", "accepted a second", "share of the rate", "429", "share of the calls"],
        rows=rows,
        note="Four workers, 200 ms a call, burst 4; the file says 40 calls/s throughout.",
    )


class Span:
    """What the server counted over some seconds."""

    def __init__(self, made: Bed) -> None:
        self._made = made
        self._begun = time.monotonic()
        self._accepted, self._refused = self._counts()
        self.rate = self.share_refused = 0.0
        self.refused = 0

    def last(self, seconds: float) -> None:
        self._made.wait_until(lambda: time.monotonic() >= self._begun + seconds, "the time is over", seconds + 60)
        accepted, refused = self._counts()
        accepted, self.refused = accepted - self._accepted, refused - self._refused
        self.rate = accepted / (time.monotonic() - self._begun)
        self.share_refused = self.refused / max(1, accepted + self.refused)

    def _counts(self) -> tuple[int, int]:
        summary = self._made.summary()
        return summary["contact_ok"], summary["throttled"]
