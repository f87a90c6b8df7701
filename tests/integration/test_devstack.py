"""What runs on one machine: with a Redis that is there already, and how it ends."""

from __future__ import annotations

import time
from dataclasses import replace

from app.devstack.stack import Stack, commands
from app.sealing import make_key
from app.settings import Settings

WITHIN_SECONDS = 30.0


def test_beat_sends_to_the_redis_that_is_named(redis, redis_port, tmp_path):
    settings = replace(
        Settings(),
        home=tmp_path,
        redis_url=f"redis://127.0.0.1:{redis_port}/0",
        secret_keys=make_key(),
        sweep_seconds=0.2,
    )
    with Stack(settings) as stack:
        stack.start_redis()
        stack.start("beat", commands(workers=0, flower_port=None, log_level="INFO")["beat"])
        deadline = time.monotonic() + WITHIN_SECONDS
        while not redis.llen("maintenance"):
            assert time.monotonic() < deadline, stack.log_of("beat").read_text()
            time.sleep(0.05)
