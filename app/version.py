"""The version of this installation's code."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed_version() -> str:
    """As `activation --version` says it; `unknown` where the package is not installed but only on the path."""
    try:
        return version("activation-pipeline")
    except PackageNotFoundError:
        return "unknown"
