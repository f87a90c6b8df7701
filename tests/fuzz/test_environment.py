"""Whatever the environment says, it is settings that every part can be made with, or lines that name the variable and no value."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.producer import Producer
from app.resources import Resources
from app.sealing import make_key
from app.settings import OPTIONS, PREFIX, Settings
from tasks.config import celery_config
from tests.fuzz.cases import MARK, cases

names = st.sampled_from([option.variable for option in OPTIONS])
odd_names = st.builds("{}_FILE".format, names) | st.just(f"{PREFIX}{MARK.upper()}")
GOOD: list[dict[str, str]] = [
    {}, {"ACTIVATION_BROKER_URL": "amqp://u:p%2F@h:1//"}, {"ACTIVATION_REDIS_URL": "rediss://:p%23@h:1/2?ssl_cert_reqs=none"},
    {"ACTIVATION_CALLS_AT_ONCE": "10000"}, {"ACTIVATION_SLICE_SECONDS": "1e9"}, {"ACTIVATION_DELIVER_RATE_LIMIT": "0.5/m"},
]  # fmt: skip
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00") | st.sampled_from("\udc80\udcff"), max_size=8
)
words = (
    texts.map(lambda text: f"{text}{MARK}")
    | st.sampled_from(["", " ", "0", "-1", "1", "2.5", "1e400", "nan", "inf", str(2**64), "9" * 5_000, "true", "1_000", "\u0663", "0x10"])
    | st.builds("{}://{}:{}@{}{}".format, st.sampled_from(["redis", "rediss", "unix", "amqp", "http", "sentinel", ""]), texts,
                texts.map(lambda text: f"{text}{MARK}"), st.sampled_from(["h", "h:1", "[::1]:1", "[::1", "a..b", "h:99999", ""]),
                st.sampled_from(["", "/0", "/x", "/0?a=b", "/0?db=x", "#x", "/0?socket_timeout=x", "/0?ssl_cert_reqs=none"]))
)  # fmt: skip
KEY = make_key()


@pytest.fixture
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_empty_environment")
def test_every_environment_is_settings_or_problems() -> None:
    taken = []

    @cases(100, 2_500)
    @given(
        st.dictionaries(names | odd_names, words, max_size=1) | st.dictionaries(names | odd_names, words, max_size=3),
        st.sampled_from(GOOD),
    )
    def read(variables: dict[str, str], good: dict[str, str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (
                {"ACTIVATION_REDIS_URL": "redis://h", "ACTIVATION_SECRET_KEYS": KEY} | good | variables
            ).items():
                patch.setenv(name, value)
            try:
                settings = Settings.from_env()
                made = Resources.from_settings(settings)
            except UsageError as error:
                said = "\n".join([str(error), error.remedy, *error.problems])
                assert MARK not in said, said
                assert all(problem.startswith(PREFIX) for problem in error.problems)
                return
        Producer(made)
        made.redis.connection_pool.make_connection()
        config = celery_config(settings)
        assert config["broker_url"]
        taken.append(variables)

    read()
    assert len(taken) > 5, "too few were good for the rest to be looked at"
