"""The lanes of a destination: what waits in them, who holds each one, and what became of each profile."""
