"""`python -m genaiops`: the command line, the embedded host, the stand-in model, the demo, new use cases, and the lab."""
