"""`make demo`: the main job on real input, from a pipeline's message to a re-evaluated endpoint, told as it happens."""

from genaiops.demo.story import run

__all__ = ["run"]
