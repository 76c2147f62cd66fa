"""`python -m genaiops`."""

from __future__ import annotations

from genaiops.cli.app import main

if __name__ == "__main__":
    main()
