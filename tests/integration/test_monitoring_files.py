"""The files for Prometheus and Grafana speak of metrics that are served, and promtool takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.reporting.metric_names import METRICS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SERVED = {
    f"{name}{ending}": {*metric.labels, "le"} if metric.kind == "histogram" else set(metric.labels)
    for name, metric in METRICS.items()
    for ending in ENDINGS[metric.kind]
}
_METRIC = re.compile(r"\b(activation_\w+)(?:\{([^}]*)\})?")


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    dashboard: Any = json.loads((DEPLOY / "grafana/activation.json").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_is_served(expression):
    named = _METRIC.findall(expression)
    assert named
    for metric, labels in named:
        assert metric in SERVED
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)) <= SERVED[metric]
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
    assert grouped <= set().union(*(SERVED[metric] for metric, _ in named))


def test_the_dashboard_shows_every_counter_and_histogram():
    shown = " ".join(expressions())
    lacking = [name for name in METRICS if name not in shown]
    assert lacking == ["activation_calls", "activation_retries", "activation_process_silent_seconds"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on the PATH")
@pytest.mark.parametrize("command", [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_takes_the_files(command):
    told = subprocess.run(["promtool", *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr
