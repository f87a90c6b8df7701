from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from app.cli.demo import run_demo
from app.devstack.sample import Sample, make_sample
from tests.system.preloaded import PreloadedStack


def test_the_demo_shows_every_outcome_and_reads_all_back() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo", "--profiles", "200"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "200 received = 176 delivered + 4 unchanged + 4 superseded + 12 excluded + 4 failed" in done.stdout
    assert "all 172 contacts are in the sandbox exactly as expected" in done.stdout
    assert "Traceback" not in done.stderr


def test_one_wrong_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_altered(count: int) -> Sample:
        sample = make_sample(count)
        sample.contacts["c-000007"]["Email Demographics.First Name"] = "Somebody else"
        return sample

    monkeypatch.setattr(sys.modules["app.cli.demo"], "make_sample", make_altered)
    monkeypatch.setattr(sys.modules["app.cli.demo"], "Stack", PreloadedStack)
    differences = run_demo(100)
    assert len(differences) == 1
    assert differences[0].startswith("contact c-000007, Email Demographics.First Name: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo"], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE
    ) as process:
        assert any("Connected" in line.decode() for line in process.stdout)
        process.send_signal(number)
        assert process.wait(90) == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert [one.cmdline() for one in psutil.process_iter(["cwd"]) if str(tmp_path) in str(one.info["cwd"])] == []
