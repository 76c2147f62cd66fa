"""What a chain itself costs: its messages, its state and its results, with runs that take no time."""
