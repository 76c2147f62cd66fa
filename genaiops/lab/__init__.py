"""The lab: a use case's chain run in this process, for notebooks. It is the chain of a pull request, code and all.

    from genaiops import lab
    use_case = lab.load("ticket_triage")
    results = lab.run(use_case, sample=20)
    results.table()

`bench.py` runs chains and keeps what they leave behind, `pump.py` carries their messages, `sampling.py` makes the use
case small, `data_assets.py` finds the installation's data assets, `results.py` shows what came of it.
"""

from __future__ import annotations

import logging

from genaiops.lab.bench import Lab, close, load, run
from genaiops.lab.chart import Chart
from genaiops.lab.errors import LabError
from genaiops.lab.results import Results

__all__ = ["Chart", "Lab", "LabError", "Results", "close", "load", "run"]

# What a chain logs is in its results (`reason`, the column `note`); without a handler Python would print it in red.
logging.getLogger("genaiops").addHandler(logging.NullHandler())
