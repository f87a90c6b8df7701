"""The whole stack on one machine: its processes, its Redis, sample data."""
