"""Pacing: the one authority over how fast an account is called, and with how many calls at once, for all workers."""
