"""Destinations: what they are made of, their files, their storage and state, and whether they fit their accounts."""
