"""The version and build of this installation's code."""

from __future__ import annotations

import os
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[1]


@cache
def installed_version() -> str:
    """Return the version as `activation --version` prints it; `unknown` if the package is only on the path."""
    try:
        return version("activation-pipeline")
    except PackageNotFoundError:
        return "unknown"


@cache
def installed_build() -> str:
    """Return 8 hex digits that differ if the code does, even between checkouts of one version.

    Takes about 12 ms the first time.
    """
    return digest_of_code(_ROOT)


def digest_of_code(root: Path) -> str:
    """Return 8 hex digits for the names and contents of the modules and scripts of app and tasks."""
    digest = blake2b(digest_size=4)
    for package in ("app", "tasks"):
        for folder, folders, names in os.walk(root / package):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".py", ".lua")):
                    path = Path(folder, name)
                    content = path.read_bytes()
                    digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
