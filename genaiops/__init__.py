"""`python -m genaiops`: the command line, the embedded host, the stand-in model and the demo."""
