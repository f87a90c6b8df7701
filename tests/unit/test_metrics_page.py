from __future__ import annotations

from pathlib import Path

from app.reporting.metric_names import metrics_page


def test_the_page_is_what_the_code_says():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == metrics_page(), "make metrics-page"
