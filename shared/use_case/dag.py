"""A DAG flow: what its `flow.dag.yaml` takes, gives and offers to vary, with every reference in it checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from shared.use_case.dag_keys import check_keys
from shared.use_case.flow_model import FlowFacts, FlowInput, NodeSpec
from shared.use_case.problems import Problems, one_of
from shared.use_case.references import is_secret
from shared.use_case.tools import fault, needed_inputs, tool_connections, tool_inputs
from shared.use_case.yaml_file import Document

VALUE_TYPES: Final = (
    "int",
    "double",
    "bool",
    "string",
    "secret",
    "prompt_template",
    "list",
    "object",
    "file_path",
    "image",
    "assistant_definition",
)
"""What the `type` of a flow's input may be."""
CANNOT_BE_SET: Final = "cannot be set: neither name nor value may hold a NUL, nor the name a `=`"


def can_be_set(name: str, value: object) -> bool:
    """Whether a process can have this environment variable."""
    return bool(name) and "=" not in name and "\0" not in f"{name}{value}"


def read_dag(flow: Path, document: Document, problems: Problems) -> FlowFacts:
    """What the file says; of use only where no problem was found."""
    check_keys(document, problems)
    return _FlowReader(flow, document, problems).facts()


class _FlowReader:
    """Reads one flow's file, noting every problem."""

    def __init__(self, folder: Path, document: Document, problems: Problems) -> None:
        self.folder = folder.resolve()
        self.document = document
        self.problems = problems

    def problem(self, path: tuple[str | int, ...], message: str) -> None:
        """Note a problem at a key of the file."""
        key = ".".join(str(part) for part in path) or "file"
        self.problems.add(self.document.file, self.document.line(*path), key, message)

    def mapping(self, value: Any, path: tuple[str | int, ...]) -> Mapping[str, Any]:
        """The value if it is a mapping (or absent); else a problem."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(path, "must be a mapping of names to values")
            return {}
        return value

    def facts(self) -> FlowFacts:
        """Everything the file says, with its references checked."""
        top = self.mapping(self.document.value, ())
        inputs = {
            name: FlowInput(type=self.value_type(spec, ("inputs", name)), default=spec.get("default"))
            for name, spec in self.parts(top, "inputs")
        }
        outputs = dict(self.parts(top, "outputs"))
        variants = dict(self.parts(top, "node_variants"))
        nodes: dict[str, Mapping[str | None, NodeSpec]] = {}
        defaults: dict[str, str] = {}
        places: dict[tuple[str, str | None], tuple[str | int, ...]] = {}
        listed = top.get("nodes")
        if not isinstance(listed, list) or not listed:
            self.problem(("nodes",), "must be a list with at least one node")
            listed = []
        for index, node in enumerate(listed):
            path: tuple[str | int, ...] = ("nodes", index)
            if not isinstance(node, dict) or not isinstance(node.get("name"), str) or not node["name"]:
                self.problem(path, "a node must be a mapping with a `name`")
                continue
            name = node["name"]
            if name in nodes:
                self.problem((*path, "name"), f"there is another node named {name!r}; names must differ")
            elif node.get("use_variants"):
                default, specs = self.node_variants(name, variants.get(name), path)
                nodes[name] = specs
                defaults[name] = default
                places.update({(name, v): ("node_variants", name, "variants", str(v), "node") for v in specs})
            else:
                nodes[name] = {None: self.spec(node, path, bool(node.get("aggregation")))}
                places[name, None] = path
        for name in variants:
            if name not in nodes:
                self.problem(("node_variants", name), one_of(name, nodes, "node"))
        self.check_references(inputs, outputs, nodes, places)
        self.check_environment(self.mapping(top.get("environment_variables"), ("environment_variables",)))
        return FlowFacts(inputs=inputs, outputs=tuple(outputs), nodes=nodes, default_variants=defaults)

    def value_type(self, spec: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
        """The type of an input; prompt flow refuses a flow with one that it does not know."""
        written = str(spec.get("type", "string"))
        if written not in VALUE_TYPES:
            self.problem((*path, "type"), one_of(written, VALUE_TYPES, "type of an input"))
        return written

    def parts(self, top: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The entries of a block whose values are mappings."""
        for name, value in self.mapping(top.get(key), (key,)).items():
            yield name, self.mapping(value, (key, name))

    def node_variants(
        self, name: str, block: Mapping[str, Any] | None, path: tuple[str | int, ...]
    ) -> tuple[str, Mapping[str | None, NodeSpec]]:
        """A node's default variant and its variants."""
        if block is None:
            self.problem((*path, "use_variants"), f"`node_variants` has no entry {name!r}; add its variants there")
            return "", {}
        place = ("node_variants", name)
        specs: dict[str | None, NodeSpec] = {}
        for variant, body in self.mapping(block.get("variants"), (*place, "variants")).items():
            where = (*place, "variants", variant)
            node = self.mapping(self.mapping(body, where).get("node"), (*where, "node"))
            if node:
                specs[variant] = self.spec(node, (*where, "node"), bool(node.get("aggregation")))
            else:
                self.problem(where, "must have a `node` with what the node is in this variant")
        default = str(block.get("default_variant_id"))
        if default not in specs:
            self.problem((*place, "default_variant_id"), one_of(default, (str(s) for s in specs), "variant"))
        return default, specs

    def spec(self, node: Mapping[str, Any], path: tuple[str | int, ...], aggregation: bool) -> NodeSpec:
        """What a node is, with its source file checked."""
        kind = str(node.get("type"))
        if kind not in ("llm", "python", "prompt", "custom_llm"):
            self.problem((*path, "type"), one_of(kind, ("llm", "python", "prompt"), "node type"))
        inputs = self.mapping(node.get("inputs"), (*path, "inputs"))
        source = self.mapping(node.get("source"), (*path, "source"))
        code: Path | None = None
        if source.get("type", "code") != "package":
            code = self.source(kind, source.get("path"), (*path, "source", "path"))
        connections = [str(node["connection"])] if node.get("connection") else []
        if kind == "llm" and not connections:
            self.problem((*path, "connection"), "an llm node needs the name of a connection")
        if code is not None and kind == "python":
            wanted = tool_connections(code)
            connections += [str(inputs[i]) for i in wanted if inputs.get(i) and "${" not in str(inputs[i])]
        elif code is None and isinstance(inputs.get("connection"), str):
            connections.append(inputs["connection"])  # a packaged tool: by convention its argument has this name
        takes = tool_inputs(kind, code) if code is not None else None
        if code is not None and kind == "python":
            self.check_arguments(code, inputs, takes, path)
        condition = node.get("activate")
        if "activate" in node and not (isinstance(condition, dict) and {"when", "is"} <= condition.keys()):
            self.problem((*path, "activate"), f"is {str(condition)[:80]!r}; expected a mapping with `when` and `is`")
        return NodeSpec(
            type=kind,
            inputs=inputs,
            takes=None if takes is None else takes | frozenset(inputs),
            connections=tuple(dict.fromkeys(connections)),
            aggregation=aggregation,
            source=code.relative_to(self.folder).as_posix() if code is not None else "",
        )

    def check_arguments(
        self, code: Path, inputs: Mapping[str, Any], takes: frozenset[str] | None, path: tuple[str | int, ...]
    ) -> None:
        """A Python tool is given every argument that it needs, and none that it does not have."""
        for name in inputs if takes is not None else ():
            if takes is not None and name not in takes:
                self.problem((*path, "inputs", name), one_of(name, takes, f"argument of the tool in {code.name}"))
        for name in sorted(needed_inputs(code) - inputs.keys()):
            self.problem((*path, "inputs"), f"lacks {name!r}, which the tool in {code.name} needs; add it")

    def source(self, kind: str, value: object, path: tuple[str | int, ...]) -> Path | None:
        """The file of a prompt or tool, which lies in the flow's folder."""
        if not isinstance(value, str) or not value:
            self.problem(path, "must be the path of the prompt or Python file")
            return None
        target = (self.folder / value).resolve()
        if not target.is_relative_to(self.folder):
            self.problem(path, f"{value!r} lies outside the flow's folder; put the file there")
            return None
        if not target.is_file():
            there = (p.name for p in self.folder.iterdir() if p.suffix == target.suffix and p.is_file())
            self.problem(path, one_of(value, there, "file of the flow's folder"))
            return None
        if wrong := fault(kind, target):
            shown = (PurePosixPath(self.document.file).parent / target.relative_to(self.folder).as_posix()).as_posix()
            self.problems.add(shown, *wrong)
        return target

    def check_environment(self, variables: Mapping[str, Any]) -> None:
        """Every variable is one that a process can have."""
        for name, value in variables.items():
            if not can_be_set(name, value):
                self.problem(("environment_variables", name), f"the variable {name!r} {CANNOT_BE_SET}")
            if is_secret(name, value):
                said = f"holds a secret in clear; write ${{<connection>.<key>}}, or ${{env:{name}}}"
                self.problem(("environment_variables", name), said)

    def check_references(
        self,
        inputs: Mapping[str, FlowInput],
        outputs: Mapping[str, Mapping[str, Any]],
        nodes: Mapping[str, Mapping[str | None, NodeSpec]],
        places: Mapping[tuple[str, str | None], tuple[str | int, ...]],
    ) -> None:
        """Every `${…}` names an input or a node, and no node waits for itself."""
        before: dict[str, set[str]] = {name: set() for name in nodes}
        for (name, variant), path in places.items():
            for key, value in nodes[name][variant].inputs.items():
                before[name] |= self.reference(value, (*path, "inputs", key), inputs, nodes)
        for name, output in outputs.items():
            written = output.get("reference")
            if not isinstance(written, str) or not written.startswith("${"):
                self.problem(("outputs", name, "reference"), "must be `${<node>.output}`")
            self.reference(output.get("reference"), ("outputs", name, "reference"), inputs, nodes)
        while ready := [name for name, waits in before.items() if not waits & before.keys()]:
            for name in ready:
                del before[name]
        if before:
            self.problem(("nodes",), f"these nodes wait for each other: {', '.join(sorted(before))}; break the circle")

    def reference(
        self,
        value: object,
        path: tuple[str | int, ...],
        inputs: Mapping[str, FlowInput],
        nodes: Mapping[str, object],
    ) -> set[str]:
        """The node that a value refers to, if any; a problem where there is none of that name."""
        if not isinstance(value, str) or not value.startswith("${"):
            return set()
        if not value.endswith("}"):
            self.problem(path, f"is {value[:80]!r}; a reference ends with a brace: ${{<node>.output}}")
            return set()
        head, _, rest = value[2:-1].strip().partition(".")
        if head in ("inputs", "flow"):  # `flow` is prompt flow's older word
            name = rest.partition(".")[0].partition("[")[0]
            if name not in inputs:
                self.problem(path, one_of(name, inputs, "input of the flow"))
            return set()
        if head not in nodes:
            self.problem(path, one_of(head, nodes, "node"))
            return set()
        section = rest.partition(".")[0].partition("[")[0]
        if section not in ("", "output"):
            self.problem(path, f"is {value[:80]!r}; of a node there is only its output: ${{{head}.output}}")
        return {head}
