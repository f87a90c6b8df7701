"""The sweep, run every few seconds: wakes lanes that sleep on work, trims what is kept, and judges alerts."""

from app.sweep.wake import sweep

__all__ = ["sweep"]
