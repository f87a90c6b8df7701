"""docker-compose.yml without a container: what `make compose-check` would find out late, found early."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from app.devstack.stack import commands
from app.settings import OPTIONS, PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
PIPELINE = ("worker", "beat", "flower", "metrics", "sandbox")
SETTINGS = {option.variable for option in OPTIONS}
SECRET = re.compile("KEY|AUTH|PASSWORD|SECRET|TOKEN")


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def option_of(command, name):
    return command[command.index(name) + 1]


def test_the_services_are_those_of_the_stack():
    assert set(SERVICES) == {"redis", *PIPELINE}


def test_only_the_sandbox_has_to_be_asked_for():
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "sandbox": ["sandbox"]
    }


@pytest.mark.parametrize("service", SERVICES)
def test_comes_back_by_itself(service):
    assert SERVICES[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", SERVICES)
def test_is_asked_how_it_is(service):
    check = SERVICES[service]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    assert check["retries"] >= 3


@pytest.mark.parametrize("service", PIPELINE)
def test_has_no_privilege(service):
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICES[service]["security_opt"]


@pytest.mark.parametrize("service", ["worker", "beat", "flower", "metrics"])
def test_waits_for_a_healthy_redis(service):
    assert SERVICES[service]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_redis_forgets_nothing():
    command = SERVICES["redis"]["command"]
    assert option_of(command, "--appendonly") == "yes"
    assert option_of(command, "--appendfsync") == "everysec"
    assert option_of(command, "--maxmemory-policy") == "noeviction"
    assert SERVICES["redis"]["volumes"] == [f"redis:{option_of(command, '--dir')}"]
    assert "redis" in yaml.safe_load(COMPOSE)["volumes"]


def test_workers_can_be_scaled():
    assert not {"container_name", "hostname", "ports"} & set(SERVICES["worker"])


def test_workers_may_end_what_is_in_flight(monkeypatch):
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    grace_seconds = seconds(SERVICES["worker"]["stop_grace_period"])
    assert grace_seconds > Settings.from_env().soft_shutdown_seconds


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_on_loopback_alone(service):
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


def test_flower_has_a_password_and_no_key():
    environment = SERVICES["flower"]["environment"]
    assert environment["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")
    assert "--read-only" in SERVICES["flower"]["command"]
    assert "ACTIVATION_SECRET_KEYS" not in environment
    assert "env_file" not in SERVICES["flower"]


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_come_from_outside_and_are_asked_for(service):
    secrets = {name: value for name, value in SERVICES[service].get("environment", {}).items() if SECRET.search(name)}
    assert all(re.fullmatch(re.escape("${" + name + ":?") + ".+}", value) for name, value in secrets.items())
    assert not re.search(r"\w+://[^@\s]*:[^@\s]*@", str(SERVICES[service]))


@pytest.mark.parametrize("file", ["docker-compose.yml", ".env.example", "deploy/compose-check"])
def test_settings_named_exist(file):
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", (ROOT / file).read_text()))
    named = {name.removesuffix("_FILE") for name in named}
    assert named
    assert named <= SETTINGS


def test_the_example_holds_no_value_for_a_secret():
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        "ACTIVATION_SECRET_KEYS=",
        "FLOWER_BASIC_AUTH=",
    ]


@pytest.mark.parametrize("service", ["worker", "beat", "flower"])
def test_runs_the_command_of_activation_up(service):
    """But for its node name, the address it listens on, and what its health check needs."""
    local = commands(workers=1, flower_port=5555, log_level="${ACTIVATION_LOG_LEVEL:-INFO}")
    local = {name.partition("-")[0]: command for name, command in local.items()}[service]

    def kept(command):
        words = list(command)
        words = ["celery", *words[words.index("-A") :]]
        if "-n" in words:
            words[words.index("-n") + 1] = "NAME"
        words = [re.sub(r"^--address=.*", "--address", word) for word in words]
        return [word for word in words if word != "--enable-remote-control"]

    assert kept(SERVICES[service]["command"]) == kept(local)


def test_health_checks_ask_the_node_that_runs_here():
    worker, beat = SERVICES["worker"], SERVICES["beat"]
    assert option_of(worker["command"], "-n").replace("%h", "$$HOSTNAME") in worker["healthcheck"]["test"][1]
    assert "celerybeat@$$HOSTNAME" in beat["healthcheck"]["test"][1]
