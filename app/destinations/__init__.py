"""Destinations: what one is made of, its file, where it is kept, its state, and whether it fits its account."""
