"""Delivery: works through lanes, from a wake-up to calls and their outcomes."""
