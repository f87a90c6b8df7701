"""The environment: types, defaults, files, and every problem at once without a secret in it."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from app.errors import UsageError
from app.settings import OPTIONS, PREFIX, Option, Settings

NUMBERS = [option for option in OPTIONS if type(option.default) in (int, float)]
CHECKED = (
    "CLEAR_MESSAGES", "REDIS_URL", "BROKER_URL", "ALERT_URL", "LOG_LEVEL", "ALERT_EMAIL_TO", "ALERT_KINDS", "ALERT_SLACK_URL",
    "LOG_FORMAT", "SMTP_URL", "TRACES", "INTAKE_PROXIES", "CONSOLE_PROXIES",
)  # fmt: skip
TEXTS = [
    option
    for option in OPTIONS
    if isinstance(option.default, str) and option.name not in CHECKED and not option.name.endswith("RATE_LIMIT")
]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def problems_of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, ...]:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(UsageError) as refused:
        Settings.from_env()
    assert refused.value.exit_code == 2
    return refused.value.problems


def test_nothing_set_is_every_default() -> None:
    settings = Settings.from_env()
    assert {option.field: getattr(settings, option.field) for option in OPTIONS} == {
        option.field: option.default for option in OPTIONS
    }


def test_options_and_fields_are_the_same_in_one_order_and_each_is_documented() -> None:
    assert [option.field for option in OPTIONS] == [field.name for field in fields(Settings)]
    assert [option.variable for option in OPTIONS] == [PREFIX + option.name for option in OPTIONS]
    types = get_type_hints(Settings)
    for option in OPTIONS:
        assert isinstance(option.default, types[option.field]), option.variable
        assert option.doc.endswith((".", "…")), option.variable


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_a_number_is_read_in_its_type(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    number = {"LEASE_SECONDS": 30, "CONNECT_TIMEOUT_SECONDS": 3}.get(option.name, 7)
    monkeypatch.setenv(option.variable, f" {number} ")
    value = getattr(Settings.from_env(), option.field)
    assert (type(value), value) == (type(option.default), number)


def test_a_lease_is_longer_than_a_call_needs_to_get_out(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_of(monkeypatch, LEASE_SECONDS="1")
    assert "LEASE_SECONDS" in problem
    assert "CONNECT_TIMEOUT_SECONDS" in problem


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
@pytest.mark.parametrize("text", ["", "seven", "-1", "nan", "inf", "1,5"])
def test_what_is_no_such_number_is_named_with_its_variable(
    option: Option, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems_of(monkeypatch, **{option.name: text})
    assert problem.startswith(f"{option.variable}: ")


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
@pytest.mark.parametrize("text", [str(2**64), "9" * 5000, "1e18"])
def test_no_number_is_too_large_for_clocks_and_redis(
    option: Option, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems_of(monkeypatch, **{option.name: text})
    assert problem.startswith(f"{option.variable}: ")
    assert len(problem) < 200


def test_a_number_of_seconds_may_have_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_SLICE_SECONDS", "2.5")
    assert Settings.from_env().slice_seconds == 2.5


def test_a_whole_number_has_no_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_of(monkeypatch, WINDOW_SIZE="2.5")
    assert "integer" in problem


@pytest.mark.parametrize("option", TEXTS, ids=lambda option: option.name)
def test_text_is_taken_as_it_is(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(option.variable, "word, word=ü")
    assert getattr(Settings.from_env(), option.field) == "word, word=ü"


def test_a_folder_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_HOME", "/var/lib/activation")
    assert Settings.from_env().home == Path("/var/lib/activation")


PASSWORD = "hunter2"
ENCODE = "is no URL. In a password write / as %2F, # as %23"


class TestUrls:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("redis://:pa#hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:#hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:pa/hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:12/hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:pa?hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:12?hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:[hunter2@127.0.0.1:6379/0", ENCODE),
            ("redis://:hunter2@127.0.0.1:99999/0", ENCODE),
            ("redis://:hunter2@a..b:6379/0", ENCODE),
            ("redis:/hunter2", ENCODE),
            ("127.0.0.1:6379", "must begin with redis://, rediss:// or unix://"),
            ("hunter2", "must begin with redis://, rediss:// or unix://"),
            ("http://:hunter2@127.0.0.1:6379/0", "must begin with redis://, rediss:// or unix://"),
            ("redis://:hunter2@127.0.0.1:6379/first", "must end with the number of a database"),
            ("redis://:hunter2@127.0.0.1:6379/0?hunter2=1", "has an option after its ?"),
            ("redis://127.0.0.1:6379/0?socket_timeout=hunter2", "has an option after its ?"),
            ("rediss://127.0.0.1:6379/0?ssl_cert_reqs=hunter2", "has an option after its ?"),
            ("redis://:hunter2\udcff@127.0.0.1:6379/0", "is not text in UTF-8"),
        ],
    )
    def test_a_redis_url_that_cannot_be_meant(self, text: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = problems_of(monkeypatch, REDIS_URL=text)
        assert problem.startswith(f"ACTIVATION_REDIS_URL: {fault}")
        assert PASSWORD not in problem

    @pytest.mark.parametrize(
        "text",
        ["redis://", "redis://h", "redis://:p%2Fw%23@h:1/0", "rediss://u:p@h:1/15?ssl_cert_reqs=none", "redis://[::1]:1",
         "unix:///run/redis.sock", "unix://u:p@/run/redis.sock?db=2", "redis://h:1/0?socket_timeout=5"],
    )  # fmt: skip
    def test_a_redis_url_that_can(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACTIVATION_REDIS_URL", text)
        assert Settings.from_env().redis_url == text

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("amqp://u:pa#hunter2@h", ENCODE),
            ("amqp://u:pa/hunter2@h", ENCODE),
            ("redis://:pa/hunter2@h", ENCODE),
            ("redis://h;redis://:pa#hunter2@h", ENCODE),
            ("hunter2", "must begin with redis://, rediss:// or amqp://"),
            ("smtp://hunter2", "must begin with redis://, rediss:// or amqp://"),
            ("valkey://h:1/0", "must begin with redis://, rediss:// or amqp://"),  # kombu has no such transport
            ("sentinel://h:1", "must begin with redis://, rediss:// or amqp://"),  # whose master has no setting
            (
                "rediss://h:1/0;rediss://h:1/0?ssl_cert_reqs=hunter2",
                "has another ssl_cert_reqs than required, optional",
            ),
        ],
    )
    def test_a_broker_url_that_cannot_be_meant(self, text: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = problems_of(monkeypatch, BROKER_URL=text)
        assert problem.startswith(f"ACTIVATION_BROKER_URL: {fault}")
        assert PASSWORD not in problem

    @pytest.mark.parametrize(
        "text",
        [
            "amqp://u:p%2F@h:5672//",
            "amqps://h",
            "redis://:p@h:1/0?a=b",
            "amqps://a:1//;amqps://b:2//",
            "redis+socket:///run/r",
            "rediss://:p@h:1/0?ssl_cert_reqs=none",
        ],
    )
    def test_a_broker_url_that_can(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACTIVATION_BROKER_URL", text)
        assert Settings.from_env().broker_url == text

    @pytest.mark.parametrize(
        "text", ["hunter2", "ftp://h/hunter2", "http:///hunter2", "http://h:hunter2/", "http://h/ hunter2"]
    )
    def test_an_alert_url_that_cannot_be_meant(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = problems_of(monkeypatch, ALERT_URL=text)
        assert problem.startswith("ACTIVATION_ALERT_URL: ")
        assert PASSWORD not in problem

    def test_problems_stand_under_the_traceback_of_a_program_that_does_not_print_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACTIVATION_REDIS_URL", "127.0.0.1")
        with pytest.raises(UsageError) as refused:
            Settings.from_env()
        assert refused.value.__notes__ == [f"- {problem}" for problem in refused.value.problems]

    def test_so_does_what_can_be_done_about_it(self) -> None:
        assert UsageError("No.", remedy="Do it.", problems=("this",)).__notes__ == ["Do it.", "- this"]
        assert not hasattr(UsageError("No."), "__notes__")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DELIVER_RATE_LIMIT", "fast"),
        ("ENQUEUE_RATE_LIMIT", "10/d"),
        ("REFRESH_RATE_LIMIT", "-1/s"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVEL", ""),
        ("CLEAR_MESSAGES", "refused"),
        ("CLEAR_MESSAGES", ""),
    ],
)
def test_what_would_end_a_worker_at_its_start_is_told_by_its_name(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems_of(monkeypatch, **{name: text})
    assert problem.startswith(f"ACTIVATION_{name}: must be ")


@pytest.mark.parametrize("name", ["INTAKE_PROXIES", "CONSOLE_PROXIES"])
@pytest.mark.parametrize("text", ["proxy.example.com", "10.0.0.1/8"])
def test_a_proxy_that_is_no_address_is_told_by_its_setting_with_what_to_write(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems_of(monkeypatch, **{name: text})
    assert problem.startswith(f"ACTIVATION_{name}: ")
    assert "Write " in problem


class TestFiles:
    def test_a_file_that_is_no_text_is_told_without_a_byte_of_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "keys").write_bytes(b"\xfe")
        assert problems_of(monkeypatch, SECRET_KEYS_FILE=str(tmp_path / "keys")) == (
            "ACTIVATION_SECRET_KEYS: its file cannot be read as text in UTF-8.",
        )

    def test_a_value_may_come_from_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "keys").write_text(" one,two \n")
        (tmp_path / "size").write_text("33\n")
        monkeypatch.setenv("ACTIVATION_SECRET_KEYS_FILE", str(tmp_path / "keys"))
        monkeypatch.setenv("ACTIVATION_WINDOW_SIZE_FILE", str(tmp_path / "size"))
        settings = Settings.from_env()
        assert settings.keys == ["one", "two"]
        assert settings.window_size == 33

    def test_a_file_that_is_not_there_is_a_problem(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (problem,) = problems_of(monkeypatch, SECRET_KEYS_FILE=str(tmp_path / "nothing"))
        assert "ACTIVATION_SECRET_KEYS_FILE" in problem

    def test_what_stands_in_a_file_is_checked_and_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "size").write_text("hunter2")
        (problem,) = problems_of(monkeypatch, WINDOW_SIZE_FILE=str(tmp_path / "size"))
        assert problem.startswith("ACTIVATION_WINDOW_SIZE: ")
        assert "hunter2" not in problem


class TestProblems:
    def test_all_of_them_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        problems = problems_of(
            monkeypatch, WINDOW_SIZE="x", SLICE_SECONDS="-1", REDIS_URLS="y", ALLOW_LOCAL_HOSTS="mail.test"
        )
        assert sorted(problem.partition(":")[0] for problem in problems) == [
            "ACTIVATION_ALLOW_LOCAL_HOSTS", "ACTIVATION_REDIS_URLS", "ACTIVATION_SLICE_SECONDS", "ACTIVATION_WINDOW_SIZE",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SECRET_KEY", "SECRET_KEYS"),
            ("REDIS_URI", "REDIS_URL"),
            ("WINDOWSIZE", "WINDOW_SIZE"),
            ("READ_TIMEOUT", "READ_TIMEOUT_SECONDS"),
        ],
    )
    def test_a_misspelt_variable_names_the_one_that_was_meant(
        self, name: str, meant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert problems_of(monkeypatch, **{name: "hunter2"}) == (
            f"ACTIVATION_{name}: no such setting. Did you mean ACTIVATION_{meant}?",
        )

    def test_a_variable_like_no_other_is_a_problem_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = problems_of(monkeypatch, ZZQQ="1")
        assert problem.startswith("ACTIVATION_ZZQQ: no such setting.")

    def test_the_variables_of_others_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELERY_BROKER_URL", "x")
        monkeypatch.setenv("MY_ACTIVATION_THING", "x")
        assert Settings.from_env().broker_url == ""

    @pytest.mark.parametrize("text", ["mail.test", "127.0.0.1", "sandbox:8080", "::1", "true,mail.test"])
    def test_a_local_host_has_no_dot_and_no_port(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = problems_of(monkeypatch, ALLOW_LOCAL_HOSTS=text)
        assert problem.startswith("ACTIVATION_ALLOW_LOCAL_HOSTS: ")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", None),
        (" , ", None),
        ("false", None),
        ("False", None),
        ("0", None),
        ("no", None),
        ("off", None),
        ("true", frozenset()),
        ("1", frozenset()),
        ("YES", frozenset()),
        ("on", frozenset()),
        ("sandbox", frozenset({"sandbox"})),
        ("Sandbox, other", frozenset({"sandbox", "other"})),
        ("true,sandbox", frozenset({"sandbox"})),
    ],
)
def test_local_hosts(text: str, hosts: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is no local host; a set is loopback and the names in it."""
    monkeypatch.setenv("ACTIVATION_ALLOW_LOCAL_HOSTS", text)
    assert Settings.from_env().local_hosts == hosts


@pytest.mark.parametrize(
    ("text", "keys"), [("", []), (" , ,", []), ("one", ["one"]), ("new, old ,", ["new", "old"]), ("b,a", ["b", "a"])]
)
def test_keys_stay_in_their_order(text: str, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", text)
    assert Settings.from_env().keys == keys


def test_settings_print_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", "hunter2")
    monkeypatch.setenv("ACTIVATION_REDIS_URL", "redis://:hunter2@localhost")
    settings = Settings.from_env()
    assert "hunter2" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ALERT_URL": "hooks.test"}, "ACTIVATION_ALERT_URL: must begin with"),
        ({"ALERT_SLACK_URL": "ftp://hooks.test"}, "ACTIVATION_ALERT_SLACK_URL: must begin with"),
        ({"ALERT_KINDS": "stopped, stoped"}, "ACTIVATION_ALERT_KINDS: there is no such kind at place 2"),
        ({"ALERT_EMAIL_TO": "ops@mail.test"}, "needs ACTIVATION_SMTP_URL"),
        ({"SMTP_URL": "mail.test:25"}, "ACTIVATION_SMTP_URL: must begin with"),
        ({"TRACES": "2"}, "ACTIVATION_TRACES: must be a share"),
        ({"LOG_FORMAT": "xml"}, "ACTIVATION_LOG_FORMAT: must be console or json"),
    ],
)
def test_how_to_alert_and_log_is_checked(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], text: str) -> None:
    (problem,) = problems_of(monkeypatch, **changes)
    assert text in problem
