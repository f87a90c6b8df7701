"""A stack of which a test ends a part, or in which one server is both state and broker."""

from __future__ import annotations

import signal
from dataclasses import replace

from app.devstack.stack import STOP_SECONDS, Stack
from app.settings import Settings


class PartedStack(Stack):
    def start_shared_redis(self) -> Settings:
        """As `start_redis`; the private Redis is the broker as well."""
        keys = self.settings.secret_keys or self.home.keys()  # before there is data
        self.settings = replace(self.settings, redis_url=self._serve("redis").ensure(), secret_keys=keys)
        return self.start_redis()

    def stop_one(self, name: str) -> None:
        """End one child, and look after it no more."""
        child = self._children.pop(name)
        child.process.send_signal(signal.SIGTERM)
        child.process.wait(STOP_SECONDS)
