"""Draws numbers as SVG, coloured by the page's style sheet for light and dark; the policy forbids inline styles.

Each picture says in words what it shows; a table beside it has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import svg
from markupsafe import Markup

from app.moments import start_of_hour_ms

if TYPE_CHECKING:
    from app.reporting.burn_up import BurnUp
    from app.reporting.runs import Run

HOURS = 24  # number of small columns
TOP = 18.0  # above the highest line, for the upper half of its figure on narrow screens
# from the bottom of a column to the top
KINDS = (
    ("delivered", ("delivered",)),
    ("idle", ("unchanged", "superseded")),
    ("excluded", ("excluded",)),
    ("failed", ("failed",)),
)


def _markup(elements: Sequence[svg.Element], *, width: float, height: float, label: str, css: str) -> Markup:
    drawn = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, height),
        class_=["chart", css],
        extra={"role": "img", "aria-label": label},
        elements=list(elements),
    )
    return Markup(drawn.as_str())  # noqa: S704  # svg.py escapes attributes and texts, which are ours anyway


def success_picture(runs: Sequence[Run], now_hour: int) -> Markup:
    """Draw the last `HOURS` as small columns: green for what went well, amber for excluded, red for failed."""
    by_hour = {run.hour: run for run in runs}
    elements: list[svg.Element] = []
    settled = failed = 0
    for place in range(HOURS):
        run = by_hour.get(now_hour - HOURS + 1 + place)
        total = sum(run.outcomes.values()) if run else 0
        x = place * 5
        if run is None or not total:
            elements.append(svg.Rect(x=x, y=17, width=4, height=1, class_=["none"]))
            continue
        settled, failed = settled + total, failed + run.outcomes["failed"]
        y = 18.0
        for css, outcomes in KINDS:
            share = sum(run.outcomes[outcome] for outcome in outcomes) / total
            height = max(1.5, 18 * share) if share else 0.0
            y -= height
            if height:
                elements.append(svg.Rect(x=x, y=round(max(0, y), 2), width=4, height=round(height, 2), class_=[css]))
    label = (
        f"Outcomes of the last {HOURS} hours: {settled:,} settled, {failed:,} failed"
        if settled
        else "Nothing was settled"
    )
    return _markup(elements, width=HOURS * 5, height=18, label=label, css="spark")


def outcome_columns(runs: Sequence[Run], first: int, count: int, *, unit_hours: int) -> Markup:
    """Draw profiles by outcome, in columns of `unit_hours`, with the scale at the left."""
    width, height, left, bottom = 720.0, 220.0, 84.0, 26.0
    sums: list[dict[str, int]] = [{} for _ in range(count)]
    for run in runs:
        place = (run.hour - first) // unit_hours
        if 0 <= place < count:
            for outcome, number in run.outcomes.items():
                sums[place][outcome] = sums[place].get(outcome, 0) + number
    top = nice(max((sum(column.values()) for column in sums), default=0))
    plot = height - bottom - TOP
    elements: list[svg.Element] = _scale(top, width, height, left, bottom, plot)
    step = (width - left) / count
    for place, column in enumerate(sums):
        y = height - bottom
        for css, outcomes in KINDS:
            number = sum(column.get(outcome, 0) for outcome in outcomes)
            if number:
                tall = plot * number / top
                y -= tall
                elements.append(
                    svg.Rect(
                        x=round(left + place * step + step * 0.1, 2),
                        y=round(y, 2),
                        width=round(step * 0.8, 2),
                        height=round(max(tall, 0.75), 2),
                        class_=[css],
                    )
                )
        if place % -(-count // 8) == 0:
            hour = first + place * unit_hours
            elements.append(
                svg.Text(
                    x=round(left + (place + 0.5) * step, 2),
                    y=height - 6,
                    text=_tick(hour, unit_hours),
                    class_=["tick"],
                    text_anchor="middle",
                )
            )
    total = sum(sum(column.values()) for column in sums)
    unit = "hour" if unit_hours == 1 else "day"
    return _markup(
        elements, width=width, height=height, label=f"Profiles by outcome and {unit}: {total:,} in all", css="columns"
    )


def _scale(top: float, width: float, height: float, left: float, bottom: float, plot: float) -> list[svg.Element]:
    found: list[svg.Element] = []
    for share in (0, 0.5, 1):
        y = round(height - bottom - plot * share, 2)
        found.append(svg.Line(x1=left, x2=width, y1=y, y2=y, class_=["grid"]))
        found.append(svg.Text(x=left - 6, y=y + 4, text=compact(top * share), class_=["tick"], text_anchor="end"))
    return found


def _tick(hour: int, unit_hours: int) -> str:
    at = datetime.fromtimestamp(start_of_hour_ms(hour) / 1000, UTC)
    return f"{at:%H}:00" if unit_hours == 1 else f"{at:%b} {at.day}"


def burn_up_lines(burn: BurnUp) -> Markup:
    """Draw the year's calls so far, the forecast for the rest of the year (dashed), and what is allowed."""
    width, height, left, bottom = 720.0, 200.0, 84.0, 26.0
    top = _top(burn)
    plot = height - bottom - TOP

    def at(day: float, calls: float) -> tuple[float, float]:
        return round(left + (width - left) * day / burn.days, 1), round(
            height - bottom - plot * min(calls, top) / top, 1
        )

    elements: list[svg.Element] = _scale(top, width, height, left, bottom, plot)
    if shows_allowed(burn):
        y = round(height - bottom - plot * burn.allowed / top, 2)
        elements.append(svg.Line(x1=left, x2=width, y1=y, y2=y, class_=["limit"]))
    first, *rest = (at(day, calls) for day, calls in burn.points)
    elements.append(svg.Path(d=[svg.M(*first), *(svg.L(*point) for point in rest)], class_=["used"]))
    ahead = (at(*burn.points[-1]), at(burn.days, burn.forecast))
    elements.append(svg.Path(d=[svg.M(*ahead[0]), svg.L(*ahead[1])], class_=["forecast"]))
    for share, text in ((0, "Jan"), (0.25, "Apr"), (0.5, "Jul"), (0.75, "Oct")):
        elements.append(
            svg.Text(x=round(left + (width - left) * share + 4, 1), y=height - 6, text=text, class_=["tick"])
        )
    label = f"Calls of this year: {burn.used:,} of {burn.allowed:,}; at the present rate {burn.forecast:,} by its end"
    return _markup(elements, width=width, height=height, label=label, css="lines")


def shows_allowed(burn: BurnUp) -> bool:
    """Return whether the chart shows what is allowed. Far above the rest, it would flatten everything else."""
    return burn.allowed <= _top(burn)


def _top(burn: BurnUp) -> float:
    return nice(max(burn.allowed if burn.forecast > burn.allowed / 10 else 0, burn.forecast, burn.used, 10) * 1.05)


def nice(value: float) -> float:
    """Return the smallest round number that is not below the value."""
    if value <= 0:
        return 1
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return max(1, next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value))


def compact(value: float) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"
