"""The lanes of a destination: what waits in them, who holds one, and what became of each profile."""
