"""Pacing: the one authority over how fast and how much at once an account is called, shared by all workers."""
