"""One worker's session at one lane: read what waits, merge it per contact, call at the pace allowed, settle what is done.

Work flows without pauses: entries are read while calls are in flight, live ones always before backfill; each contact has at
most one call in flight, and what arrives for it meanwhile waits behind and merges. Outcomes are settled in batches.
"""

from app.session.callers import Pulse
from app.session.loop import Result, Session
from app.session.turns import Turns

__all__ = ["Pulse", "Result", "Session", "Turns"]
