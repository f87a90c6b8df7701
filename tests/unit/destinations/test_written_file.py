"""What looks like a variable in a destination is written so that it is read as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.destinations.file import load
from app.destinations.model import Destination, Segment
from app.destinations.writing import as_file

FILE = """\
id: camp
name: Camp
account: {subdomain: mct0, client_id: id, client_secret: hush}
mapping:
  - {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}
  - {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}
"""
DESTINATION = load(FILE, environ={}, allow_local_hosts=False)


def read_again(destination: Destination) -> Destination:
    return load(as_file(destination), environ={"SFMC_CLIENT_SECRET": "hush"}, allow_local_hosts=False)


@pytest.mark.parametrize(
    "text", ["${", "a ${b", "$${", "${X}", "$${X}", "$$${X}", "${a${b}", "${a${b}}", "${}", "$ {X}", "}${"]
)
def test_each_is_read_as_it_was(text):
    destination = replace(DESTINATION, name=text)
    assert read_again(destination) == destination


@given(st.lists(st.sampled_from(["a", "$", "{", "}", "${", "${X}", "$${X}"]), min_size=1, max_size=8).map("".join))
@example("${a $${b}")
def test_whatever_it_is_made_of(text):
    segment = Segment("seg-1", "s1", name=text)
    destination = replace(DESTINATION, name=text, description=text, segments=(segment,))
    assert read_again(destination) == destination
