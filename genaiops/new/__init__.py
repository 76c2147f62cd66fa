"""A new use case folder from a template: small, complete, valid, and run at once with the stand-in model.

`templates/common` is in every one; `templates/<kind>` adds the flow. `writing.py` fills in the names.
"""

from __future__ import annotations

from genaiops.new.writing import KINDS, Kind, new_use_case

__all__ = ["KINDS", "Kind", "new_use_case"]
