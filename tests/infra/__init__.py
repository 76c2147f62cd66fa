"""`infra/`, held to the code: no compiler of Bicep is at hand, so it is read here as far as it is used.

`syntax.py` reads a file, `expansion.py` works out what a deployment with given parameters would make, `world.py` is what
the tests ask of it, `scan.py` runs the security scanner.
"""
