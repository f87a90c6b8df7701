"""Who may look and act: users, sessions, one-time links and API keys, each with a role."""
