"""What is looked after every few seconds: lanes that sleep on work, bounds of what is kept, and alerts."""

from app.sweep.wake import sweep

__all__ = ["sweep"]
