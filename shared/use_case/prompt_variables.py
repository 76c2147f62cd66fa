"""Variables that a node's prompt writes out and that nothing gives a value: Jinja puts nothing in their place.

A variable that the prompt asks about (`{% if tone %}`, `{{ tone | default("polite") }}`) may be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from shared.use_case.flow_model import FlowFacts
from shared.use_case.problems import Problems, one_of


def check_prompts(folder: Path, facts: FlowFacts, given: Collection[str], root: Path, problems: Problems) -> None:
    """Warn of the variables that no node's inputs and no parameter gives.

    Args:
        folder: the flow's.
        facts: what its files say.
        given: the inputs that parameters give: `<node>.<input>`.
        root: the use case folder, in which problems name files.
        problems: takes the warnings.
    """
    for node, specs in facts.nodes.items():
        extra = {key.partition(".")[2] for key in given if key.startswith(f"{node}.")}
        for spec in specs.values():
            if spec.type not in ("llm", "prompt") or not spec.source:
                continue
            there = extra | spec.inputs.keys()
            for name, line in _written_out(folder / spec.source).items():
                if name not in there and not problems.warned_enough:  # to look for the nearest name is slow
                    known = one_of(name, there, f"input of the node {node!r}") if there else f"{node!r} has no inputs"
                    said = f"{known}; without a value, the prompt has nothing in its place"
                    file = (folder / spec.source).relative_to(root).as_posix()
                    problems.warn(file, line, f"{{{{{name}}}}}", said)


def _written_out(prompt: Path) -> Mapping[str, int]:
    """Name → the first line that writes it out, for the variables that the prompt never asks about."""
    from jinja2 import Environment, TemplateError, meta, nodes

    try:
        # The template is parsed, never rendered: nothing in it can run or needs escaping.
        tree = Environment(autoescape=True).parse(prompt.read_text(encoding="utf-8"))
        undeclared = meta.find_undeclared_variables(tree)
    except (OSError, TemplateError, ValueError, RecursionError, MemoryError):
        return {}

    def names(node: nodes.Node) -> Iterator[nodes.Name]:
        if isinstance(node, nodes.Name):
            yield node
        yield from node.find_all(nodes.Name)

    conditions: list[nodes.Node] = [part.test for part in tree.find_all(nodes.If)]
    conditions += [part.test for part in tree.find_all(nodes.CondExpr)]
    conditions += tree.find_all((nodes.Test, nodes.Or))
    conditions += [part for part in tree.find_all(nodes.Filter) if part.name in ("default", "d")]
    asked = {name.name for condition in conditions for name in names(condition)}
    found: dict[str, int] = {}
    for output in tree.find_all(nodes.Output):
        for name in names(output):
            if name.name in undeclared - asked:
                found.setdefault(name.name, name.lineno)
    return found
