"""Reuse: lines that earlier runs have answered under the same configuration are taken instead of being run again.

Every run leaves a note under its configuration's digest, in the container `reuse`, that says where its lines lie
(`run_notes.py`). A run that begins reads the newest notes, takes the completed lines whose inputs equal its own
(`matches.py`), and pins them beside its results before anything is started: so a run that is started twice, or looked
at later, knows the same lines. When it has ended, pinned and new lines become its result, in line order (`pinning.py`).
"""

from shared.experimentation.reuse.matches import Known, Matches, input_key, matched
from shared.experimentation.reuse.pinning import merged, pin, pinned, pinned_lines, settle
from shared.experimentation.reuse.run_notes import MOST_RUNS, Note, evaluation_digest, notes

__all__ = [
    "MOST_RUNS",
    "Known",
    "Matches",
    "Note",
    "evaluation_digest",
    "input_key",
    "matched",
    "merged",
    "notes",
    "pin",
    "pinned",
    "pinned_lines",
    "settle",
]
