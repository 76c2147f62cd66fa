"""The stand-in model: an HTTP server that speaks chat completions and answers by rules that read the rendered prompt.

It is used only where no connection is configured, and every answer names `stand-in (rules, not an LLM)` as its model.
`start_stand_in` runs it as a child process; `python -m genaiops.stand_in_model --help` runs it by hand.
"""

from __future__ import annotations

from genaiops.stand_in_model.process import StandIn, StandInNotStarted, start_stand_in

__all__ = ["StandIn", "StandInNotStarted", "start_stand_in"]
