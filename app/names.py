"""Finds the known name that a misspelt one was probably meant to be: one rule for settings, files, sets and fields. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to this one; None if none is near.

    That is the one that differs only in case, spaces, dashes or underscores, else the likeliest.
    """
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(fold(name), name)
    exact = folded.get(fold(word))
    if exact is not None:
        return exact
    near = difflib.get_close_matches(fold(word), folded, n=1)
    return folded[near[0]] if near else None


def fold(word: str) -> str:
    """Return a name without what people get wrong."""
    return re.sub(r"[\s_-]", "", word).casefold()
