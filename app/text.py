"""What is text and what only looks like it."""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Whether it holds no half of a character (a lone surrogate): neither Redis nor a log nor JSON takes one.

    Half characters come from JSON, and from the system where what it gives is no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
