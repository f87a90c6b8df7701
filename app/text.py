"""Tells text from what only looks like it."""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Return whether a text has no half characters (lone surrogates), which neither Redis nor a log nor JSON accepts.

    They come from JSON, and from the system if its text is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
