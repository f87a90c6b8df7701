"""Working at lanes: from a wake-up to calls and their outcomes."""
