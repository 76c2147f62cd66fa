"""`python -m genaiops`: command line, embedded host, stand-in model, demo, new use cases, and the lab."""
