"""An evaluator without a flow file: the `eval_…` functions in the `eval_*.py` files of its folder.

Their arguments together are its inputs. A function that takes `data_id` and `column_mapping` evaluates a whole run by
itself, as such evaluators of microsoft/genaiops-promptflow-template do, and takes whatever is mapped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from shared.use_case.code import Function, calls_model, parsed, statements
from shared.use_case.flow_files import EVALUATOR_FILES, evaluator_files
from shared.use_case.flow_model import FlowFacts, FlowInput, FlowKind
from shared.use_case.problems import Problems
from shared.use_case.signatures import signature

WHOLE_RUN: Final = frozenset({"data_id", "column_mapping"})


def read_python_evaluator(flow: Path, shown: str, problems: Problems) -> FlowFacts:
    """What the functions take; `shown` is the folder's path as problems show it."""
    inputs: dict[str, FlowInput] = {}
    takes_any = False
    files = evaluator_files(flow)
    before = problems.count
    functions: list[Function] = []
    for file in files:
        module = parsed(file, f"{shown}/{file.name}", problems)
        there = statements(module.body) if module is not None else ()
        functions += [s for s in there if isinstance(s, Function) and s.name.startswith("eval_")]
    for function in functions:
        taken = signature(function)
        if taken.arguments.keys() >= WHOLE_RUN:
            takes_any = True
            continue
        takes_any = takes_any or taken.takes_any
        for name, spec in taken.arguments.items():
            known = inputs.get(name)
            # Where one function needs an argument that another has a default for, every line must bring it.
            inputs[name] = spec if known is None or spec.required else replace(known)
    if not functions and problems.count == before:
        problems.add(shown, 0, "folder", f"no {EVALUATOR_FILES} file of it defines a function `eval_…`; add one")
    return FlowFacts(
        inputs=inputs,
        outputs=(),
        kind=FlowKind.PYTHON,
        takes_any_input=takes_any,
        gives_any_output=True,
        calls_model=calls_model(files, flow),
    )
