"""The local profile: SQLite queues, files, and flows served on this machine, with nothing else installed."""
