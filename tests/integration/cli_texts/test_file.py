"""What `activation connect` says of a destination file that is wrong in itself: exit code 2, and no call is made."""

from __future__ import annotations

import pytest


@pytest.fixture
def refuse(run, sandbox, tmp_path):
    """Connect a file that must be refused; what the error stream says, with the file's name as `FILE`."""

    def connect(text: str) -> str:
        file = tmp_path / "spring.yaml"
        file.write_text(text, encoding="utf-8")
        result = run("connect", file)
        assert (result.exit_code, result.stdout) == (2, "")
        assert sandbox.calls == []
        assert run("destinations", "--json").stdout == "[]\n"
        return result.stderr.replace(str(file), "FILE")

    return connect


def without(text: str, words: str) -> str:
    assert words in text
    return "".join(line for line in text.splitlines(keepends=True) if words not in line)


def test_a_missing_email_mapping(refuse, text):
    assert refuse(without(text, "Email Addresses.Email Address")) == (
        "Error: FILE has a problem.\n"
        '  - mapping: no row has the target "Attribute: Email Addresses.Email Address". '
        'Add {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}.\n'
    )


@pytest.mark.parametrize("host", ["https://mct.rest.marketingcloudapis.com.example.com", "http://192.0.2.1:80"])
def test_a_host_that_is_not_salesforces(refuse, text, sandbox, host):
    assert refuse(text.replace(sandbox.base_url, host)) == (
        "Error: FILE has 2 problems.\n"
        "  - account.auth_base_url: names a host that is not this machine. "
        "Remove it: Salesforce's hosts are derived from account.subdomain.\n"
        "  - account.rest_base_url: names a host that is not this machine. "
        "Remove it: Salesforce's hosts are derived from account.subdomain.\n"
    )


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "https://mct.rest.example.com"])
def test_no_host_at_all_may_be_named_where_local_ones_are_not_allowed(refuse, text, sandbox, monkeypatch, host):
    monkeypatch.delenv("ACTIVATION_ALLOW_LOCAL_HOSTS")
    said = refuse(text.replace(sandbox.base_url, host))
    for name in ("auth_base_url", "rest_base_url"):
        assert f"  - account.{name}: is for local hosts only, and they are not allowed here." in said
    assert "Remove it, or set ACTIVATION_ALLOW_LOCAL_HOSTS=1 to use the sandbox.\n" in said


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("https://mc1.rest.example.com/", "may hold a-z, 0-9 and - only. Write the first part of the host only"),
        ("mc1.example.com", "may hold a-z, 0-9 and - only. Write the first part of the host only, without https://"),
    ],
)
def test_a_host_instead_of_a_subdomain(refuse, text, pasted, told):
    assert f"  - account.subdomain: {told}" in refuse(text.replace("subdomain: mct", f"subdomain: {pasted} #"))


@pytest.mark.parametrize(
    ("good", "broken", "told"),
    [
        ("name: Spring", "name: Spring: sale",
         ("line 2, column 13: mapping values are not allowed here. "
          'Quote a value that holds a colon, such as "xdm: person.name.firstName".')),
        ("  subdomain", "\tsubdomain",
         "line 4, column 1: found character '\\t' that cannot start any token. Indent with spaces, not with tabs."),
        ("salesforce_mc_segment_2}", "salesforce_mc_segment_2",
         "line 16, column 1: expected ',' or '}', but got '<stream end>'."),
        ("id: spring", "id: spring\u0007",
         "line 1: a character that YAML does not allow. Save the file as plain text in UTF-8."),
    ],
)  # fmt: skip
def test_broken_yaml_is_told_by_line_and_never_quoted(refuse, text, good, broken, told):
    said = refuse(text.replace(good, broken, 1))
    assert said == f"Error: FILE is not valid YAML.\n  - {told}\n"


def test_a_file_without_a_destination(refuse):
    assert refuse("- spring\n") == (
        "Error: FILE holds no destination.\n  - top level: must hold names and values, such as `id: spring-campaign`.\n"
    )


def test_several_problems_at_once(refuse, text):
    faulty = (
        text.replace("id: spring", "id: Spring Sale")
        .replace("subdomain", "subdomian")
        .replace("sandbox-secret", "${NO_SUCH_SECRET}")
        .replace("Email Demographics.First Name", "Email Demographics")
        .replace("id: owners", "id: renters")
    )
    first, *problems = refuse(f"{faulty}limits: {{calls_per_minute: many}}\n").splitlines()
    assert first == "Error: FILE has 7 problems."
    assert sorted(problems) == [
        "  - account.client_secret: the environment variable NO_SUCH_SECRET is not set. Set it, or write the value here.",
        "  - account.subdomain: is missing.",
        "  - account.subdomian: is unknown here. Did you mean subdomain?",
        "  - id: must be 1 to 63 of a-z, 0-9 and -, with a letter or digit first.",
        "  - limits.calls_per_minute: must be a whole number.",
        (
            "  - mapping[2].target: names no attribute. Write the set, a dot and the attribute: "
            '"Attribute: Email Demographics.First Name".'
        ),
        "  - segments[1].id: is the segment of segments[0] already. Remove one of them.",
    ]


def test_an_unset_variable(refuse, text):
    assert refuse(text.replace("sandbox-secret", "${SPRING_SECRET}")) == (
        "Error: FILE has a problem.\n"
        "  - account.client_secret: the environment variable SPRING_SECRET is not set. Set it, or write the value here.\n"
    )


def test_a_variable_that_is_set_counts(run, text, monkeypatch):
    monkeypatch.setenv("SPRING_SECRET", "sandbox-secret")
    assert run("connect", "-", stdin=text.replace("sandbox-secret", "${SPRING_SECRET}")).exit_code == 0


def test_no_problem_quotes_the_secret(refuse, text):
    secret = "S3cret with space"
    assert "account.client_secret: must not hold white space." in (
        said := refuse(text.replace("sandbox-secret", secret))
    )
    assert "S3cret" not in said
    broken = refuse(text.replace("client_secret: sandbox-secret", "client_secret: S3cret: x"))
    assert "line 6, column 24: mapping values are not allowed here." in broken
    assert "S3cret" not in broken


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), (b"id: \xff\n", "it is not UTF-8 text")]
)
def test_a_file_that_cannot_be_read(run, tmp_path, content, why):
    file = tmp_path / "spring.yaml"
    if content is not None:
        file.write_bytes(content)
    result = run("connect", file)
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        f"Error: {file} cannot be read: {why}.\nName a YAML file that describes a destination.\n",
    )
