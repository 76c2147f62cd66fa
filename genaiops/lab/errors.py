"""What goes wrong in the lab, in a family of its own: a notebook catches it apart from mistakes in its own code."""

from __future__ import annotations

from shared.errors import GenAIOpsError


class LabError(GenAIOpsError):
    """A chain could not be run, or a name is not in its results; the text says what to do."""
