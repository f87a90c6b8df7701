"""What is made up: values of every kind, and good documents with something in them replaced."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import islice
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MARK = "Zyxwmarker"


def cases(short: int, long: int) -> Callable[[Any], Any]:
    """So many examples: always the same few in `make test`, others each time in `make fuzz`."""
    fuzzing = settings.get_current_profile_name() == "fuzz"
    return settings(
        max_examples=long if fuzzing else short,
        derandomize=not fuzzing,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


marked = st.builds(
    "{}{}{}".format, st.text(max_size=6), st.just(MARK), st.text(st.characters(exclude_categories=()), max_size=6)
)
awkward = st.sampled_from(
    [f"{MARK}\ud800", f"{MARK}\x00", f"{MARK}\n[2026] CRITICAL forged", f"{MARK}\x1b[2J", f"\u202e{MARK}", f"${{{MARK}}}",
     f"{MARK}@mail.test", f"[bold]{MARK}[/]", MARK * 1000, "", " ", "null", "NaN", "2026-11-22T10:00:00Z", "-1", "1e999"]
)  # fmt: skip
numbers = st.sampled_from(
    [0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400, 0.5, 1e308, float("nan"), float("inf")]
)
scalars = st.none() | st.booleans() | numbers | st.integers() | st.floats() | marked | awkward
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(marked | awkward, inner, max_size=4),
    max_leaves=10,
)


def deep(levels: int, *, of_lists: bool = False) -> Any:
    made: Any = MARK
    for _ in range(levels):
        made = [made] if of_lists else {MARK: made}
    return made


depths = st.builds(deep, st.sampled_from([63, 64, 65, 500, 5_000]), of_lists=st.booleans())


def as_json(value: Any) -> bytes:
    """JSON as a careless sender writes it, with NaN and half characters; too deep for that, brackets."""
    try:
        return json.dumps(value).encode(errors="surrogatepass")
    except RecursionError:
        return b"[" * 5_000 + b"]" * 5_000


MOST_STEPS = 8


def places(document: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document, but for what lies too deep."""
    found = [here]
    if len(here) < MOST_STEPS:
        inner = (
            document.items()
            if isinstance(document, dict)
            else enumerate(document)
            if isinstance(document, list)
            else ()
        )
        for step, value in islice(inner, 50):
            found += places(value, (*here, step))
    return found


def replaced(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at that place; what is not on the way there is shared."""
    if not place:
        return value
    made = copy.copy(document)
    step, *rest = place
    made[step] = replaced(document[step], tuple(rest), value) if rest else value
    return made


def removed(document: Any, place: tuple[Any, ...]) -> Any:
    made = copy.copy(document)
    step, *rest = place
    if rest:
        made[step] = removed(document[step], tuple(rest))
    else:
        del made[step]
    return made


def altered(document: Any, replacements: Any = values) -> Any:
    """A strategy: the document with up to two places replaced, removed, or with something added."""

    @st.composite
    def make(draw: Any) -> Any:
        made = document
        for _ in range(draw(st.integers(1, 2))):
            here = places(made)
            place = here[draw(st.integers(0, len(here) - 1))]
            match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
                case "remove" if place:
                    made = removed(made, place)
                case "add" if isinstance(made, dict):
                    made = replaced(made, (*_object(made, place), draw(marked | awkward)), draw(replacements))
                case _:
                    made = replaced(made, place, draw(replacements))
            if not isinstance(made, dict | list):
                break
        return made

    return make()


def _object(document: Any, place: tuple[Any, ...]) -> tuple[Any, ...]:
    """The nearest object around a place."""
    while place:
        inner = document
        for step in place:
            inner = inner[step]
        if isinstance(inner, dict):
            return place
        place = place[:-1]
    return ()
