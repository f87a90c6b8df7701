"""docker-compose.yml without a container: what `make compose-check` would find out late, found early."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from app.acl import DEFAULT_USER, ROLES
from app.devstack.stack import commands
from app.sealing import KeyRing
from app.settings import OPTIONS, PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
PIPELINE = ("worker", "maintenance", "beat", "flower", "intake", "console", "metrics", "sandbox")
SETTINGS = {option.variable for option in OPTIONS}
SECRET = re.compile("KEY|AUTH|PASSWORD|SECRET|TOKEN")
WAITS_FOR = {
    "worker": {"redis", "broker"},
    "maintenance": {"redis", "broker"},
    "beat": {"broker"},
    "flower": {"broker"},
    "intake": {"redis", "broker"},
    "metrics": {"redis"},
    "console": {"redis", "broker"},
}
NETWORKS = {
    "redis": {"state"}, "broker": {"broker"}, "worker": {"state", "broker", "outside"}, "maintenance": {"state", "broker", "outside"},
    "beat": {"broker"}, "flower": {"broker", "outside"}, "intake": {"state", "broker", "outside"},
    "metrics": {"state", "outside"}, "console": {"state", "broker", "outside"}, "sandbox": {"outside"},
}  # fmt: skip
PASSWORDS = {
    ("state", "worker"): "REDIS_PASSWORD", ("state", "producer"): "REDIS_PRODUCER_PASSWORD",
    ("state", "intake"): "REDIS_INTAKE_PASSWORD", ("state", "metrics"): "REDIS_METRICS_PASSWORD",
    ("state", "console"): "REDIS_CONSOLE_PASSWORD", ("broker", "worker"): "BROKER_PASSWORD",
    ("broker", "beat"): "BROKER_BEAT_PASSWORD", ("broker", "flower"): "BROKER_FLOWER_PASSWORD",
    ("broker", "sender"): "BROKER_SENDER_PASSWORD",
}  # fmt: skip


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def option_of(command, name):
    return command[command.index(name) + 1]


def test_the_services_are_those_of_the_stack():
    assert set(SERVICES) == {"redis", "broker", *PIPELINE}


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


@pytest.mark.parametrize("service", SERVICES)
def test_has_no_privilege(service):
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICES[service]["security_opt"]


@pytest.mark.parametrize("service", WAITS_FOR)
def test_waits_for_the_servers_that_it_needs(service):
    assert SERVICES[service]["depends_on"] == {name: {"condition": "service_healthy"} for name in WAITS_FOR[service]}


@pytest.mark.parametrize("service", SERVICES)
def test_reaches_what_it_needs_and_no_more(service):
    assert set(SERVICES[service]["networks"]) == NETWORKS[service]


def test_the_servers_networks_lead_nowhere_else():
    networks = yaml.safe_load(COMPOSE)["networks"]
    assert [name for name, about in networks.items() if about.get("internal")] == ["state", "broker"]


def test_the_address_of_a_proxy_on_this_machine_is_known():
    """Through a published port it is that of the network's gateway."""
    (pool,) = yaml.safe_load(COMPOSE)["networks"]["outside"]["ipam"]["config"]
    subnet, gateway = (re.fullmatch(r"\$\{OUTSIDE_\w+:-(.+)}", pool[name])[1] for name in ("subnet", "gateway"))
    assert ip_address(gateway) in ip_network(subnet)
    for file, named in ((".env.example", "INTAKE_PROXIES"), (".env.example", "CONSOLE_PROXIES"),
                        ("docs/operations.md", "INTAKE_PROXIES"), ("docs/console.md", "CONSOLE_PROXIES")):  # fmt: skip
        assert f"{named}={gateway}" in (ROOT / file).read_text()


def test_the_links_that_are_printed_lead_to_the_port_of_the_console():
    port = "${CONSOLE_PORT:-8081}"
    assert SERVICES["console"]["ports"] == [f"127.0.0.1:{port}:8081"]
    for service in ("worker", "maintenance", "console"):
        address = SERVICES[service]["environment"]["ACTIVATION_CONSOLE_URL"]
        assert re.findall(r":-(http:.*?:(?:\$\{[^}]*}|\d+))", address) == [f"http://127.0.0.1:{port}"]


def test_what_the_machine_decides_stands_in_the_example():
    choices = set(re.findall(r"\$\{(\w+(?:_PORT|_PROXIES|_SUBNET|_GATEWAY|_PROCESSES)):-([^}]*)", COMPOSE))
    assert len(choices) >= 10
    example = (ROOT / ".env.example").read_text()
    for name, value in choices:
        assert f"\n#{name}={value}" in example


@pytest.mark.parametrize(("service", "server"), [("redis", "state"), ("broker", "broker")])
def test_the_users_of_redis_are_those_of_activation_acl(service, server):
    words = SERVICES[service]["command"]
    starts = [place for place, word in enumerate(words) if word == "--user"]
    users = [words[start + 1 : end] for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]
    assert users[0] == DEFAULT_USER.split()
    assert users[1] == ["health", "on", ">health", "-@all", "+ping"]
    expected = []
    for role in (role for role in ROLES if role.server == server):
        password = PASSWORDS[server, role.name]
        expected.append(
            [role.name, "on", f">${{{password}:?is not set; deploy/make-env makes one}}", *role.rules.split()]
        )
    assert users[2:] == expected


def test_only_those_who_open_what_is_sealed_have_a_key():
    holders = {name for name, service in SERVICES.items() if "ACTIVATION_SECRET_KEYS" in service.get("environment", {})}
    assert holders == {"worker", "maintenance", "intake", "console"}
    # their own, which open no client secret
    for name in ("intake", "console"):
        assert SERVICES[name]["environment"]["ACTIVATION_SECRET_KEYS"].startswith(f"${{{name.upper()}_SECRET_KEYS:?")
    state = {name for name, service in SERVICES.items() if "ACTIVATION_REDIS_URL" in service.get("environment", {})}
    assert state == {"worker", "maintenance", "intake", "metrics", "console"}


def test_the_broker_keeps_nothing_on_a_disk():
    command = SERVICES["broker"]["command"]
    assert (option_of(command, "--appendonly"), option_of(command, "--save")) == ("no", "")
    assert "volumes" not in SERVICES["broker"]


def test_make_env_gives_all_that_is_asked_for():
    made = subprocess.run([ROOT / "deploy/make-env"], capture_output=True, text=True, check=True).stdout
    given = set(re.findall(r"^(\w+)=\S{16,}$", made, re.MULTILINE))
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert asked <= given
    key, *restricted = (re.search(f"{name}_SECRET_KEYS=(.*)", made)[1] for name in ("ACTIVATION", "INTAKE", "CONSOLE"))
    assert [KeyRing([key]).restricted] * 2 == [[one] for one in restricted]


def test_redis_forgets_nothing():
    command = SERVICES["redis"]["command"]
    assert option_of(command, "--appendonly") == "yes"
    assert option_of(command, "--appendfsync") == "always"
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
    names = {"ACTIVATION_SECRET_KEYS": f"{service.upper()}_SECRET_KEYS"} if service in ("intake", "console") else {}
    # single sign-on may be left out
    secrets = {name: value for name, value in secrets.items() if value != "${CONSOLE_OIDC_CLIENT_SECRET:-}"}
    assert all(
        re.fullmatch(re.escape("${" + names.get(name, name) + ":?") + ".+}", value) for name, value in secrets.items()
    )
    # a password in a URL comes from outside as well
    assert not re.search(r"\w+://[^@\s]*:(?!\$\{)[^@\s]*@", str(SERVICES[service]))


@pytest.mark.parametrize("file", ["docker-compose.yml", ".env.example", "deploy/compose-check"])
def test_settings_named_exist(file):
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", (ROOT / file).read_text()))
    named = {name.removesuffix("_FILE") for name in named}
    assert named
    assert named <= SETTINGS


def test_the_example_holds_no_value_for_a_secret():
    lines = (ROOT / ".env.example").read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    assert all(line.endswith("=") for line in settings)
    assert {line[:-1] for line in settings} == set(re.findall(r"\$\{(\w+):\?", COMPOSE))


@pytest.mark.parametrize("service", ["worker", "maintenance", "beat", "flower"])
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


def test_the_intake_runs_the_command_of_activation_up_for_other_machines():
    local = commands(workers=1, flower_port=None, log_level="INFO", intake_port=8080)["intake"]
    command = SERVICES["intake"]["command"]
    assert command[1] == local[local.index("app.cli") + 1] == "intake"
    assert option_of(command, "--port") == option_of(local, "--port") == "8080"
    assert option_of(command, "--host") == "0.0.0.0"
