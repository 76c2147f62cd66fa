"""Reports: from a chain's stored results to evidence, CSV files and one self-contained HTML page.

`build` is the way in; `evidence` is what an approver approves, everything else is for reading.
"""

from __future__ import annotations

from shared.reporting.assemble import CONTAINER, FILES, BuiltReport, build

__all__ = ["CONTAINER", "FILES", "BuiltReport", "build"]
