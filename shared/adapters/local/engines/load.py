"""Loading a flow into the engine for its kind, in a process that is made ready for flow code.

Everything that engines need of this program is imported here, before flow code: `step_aside` takes this program's
modules out of the flow's way, and nothing of it can be imported afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.adapters.local.engines.code import CodeEngine
from shared.adapters.local.engines.contract import Engine, FlowSource
from shared.adapters.local.engines.environment import own_environment
from shared.adapters.local.engines.evaluators import EvaluatorEngine
from shared.adapters.local.engines.kinds import kind_of
from shared.adapters.local.engines.modules import make_importable
from shared.adapters.local.engines.promptflow_dag import DagEngine
from shared.adapters.local.engines.promptflow_prompty import PromptyEngine
from shared.use_case.flow_model import FlowKind

_ROOT = str(Path(__file__).parents[4])


def step_aside(source: FlowSource, package: str, root: Path | None, *, not_from: Sequence[str] = ()) -> None:
    """Make the flow's modules importable and this program's no more: a flow's may have any name, `shared` too."""
    os.chdir(source.folder)
    sys.dont_write_bytecode = True  # the flow's folder belongs to a bundle that nobody changes
    for name in [name for name in sys.modules if name == "shared" or name.startswith("shared.")]:
        del sys.modules[name]
    make_importable(source.folder, package, root, not_from=[_ROOT, *not_from])


def set_environment(source: FlowSource, given: Mapping[str, str]) -> None:
    """Set the variables that were given, and those of the flow's own file. Raises BusinessFailure."""
    os.environ.update(given)
    os.environ.update(own_environment(source.folder, source.flow_file, given, source.connections))


def load(source: FlowSource) -> Engine:
    """The engine with the flow in it.

    Raises:
        BusinessFailure: the flow's file is wrong.
        BaseException: whatever the flow's modules raise when they are imported.
    """
    match kind_of(source.folder, source.flow_file):
        case FlowKind.DAG:
            return DagEngine(source)
        case FlowKind.PROMPTY:
            return PromptyEngine(source)
        case FlowKind.PYTHON:
            return EvaluatorEngine(source)
        case FlowKind.CLASS | FlowKind.FUNCTION:
            return CodeEngine(source)
