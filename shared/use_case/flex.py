"""A flex flow: a function or class of its folder, as `flow.flex.yaml`, `init.json` and the source describe it.

What the YAML says goes before what the signature says; `init.json` goes before both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from shared.use_case import returns, signatures
from shared.use_case.block import Block
from shared.use_case.code import Definition, Function, calls_model, find, module_file, modules_in, names_in, parsed
from shared.use_case.dag import CANNOT_BE_SET, can_be_set
from shared.use_case.flow_model import FlowFacts, FlowInput, FlowKind
from shared.use_case.init_values import Wanted, check_value, wanted
from shared.use_case.json_file import read_json
from shared.use_case.problems import Problems, one_of
from shared.use_case.references import is_placeholder, is_secret, reference
from shared.use_case.returns import Outputs
from shared.use_case.signatures import Signature
from shared.use_case.yaml_file import Document

INIT_FILE: Final = "init.json"


@dataclass(frozen=True)
class _Entry:
    """What the source tells of a flow's entry."""

    kind: FlowKind
    call: Signature
    gives: Outputs
    init: Signature


_NOTHING: Final = Signature({}, takes_any=False)
_UNKNOWN: Final = Signature({}, takes_any=True)


def read_flex(flow: Path, document: Document, problems: Problems) -> FlowFacts | None:
    """What the files say; of use only where no problem was found."""
    top = Block(document, (), document.value, problems, flow)
    if top.mapping() is None:
        return None
    _check_environment(top.child("environment_variables"))
    definition = _definition(top, flow)
    entry = _entry(top, definition) if definition is not None else None
    if entry is None or definition is None:
        return None
    inputs = _merged(top.child("inputs"), entry.call, "argument of the entry")
    declared = tuple(str(output.path[-1]) for output in top.child("outputs").entries())
    init = _init(top, flow, entry)
    for argument in top.child("init").entries():
        if isinstance(argument.value, dict) and "default" in argument.value:
            _check_secrets(argument.child("default"))
    return FlowFacts(
        inputs=inputs,
        outputs=tuple(dict.fromkeys((*declared, *entry.gives.names))) if not _is_vague(declared, entry) else declared,
        kind=entry.kind,
        entry=str(document.value["entry"]),
        init=init,
        takes_any_input=entry.call.takes_any,
        gives_any_output=entry.gives.any and not declared,
        calls_model=calls_model([definition.file], flow) or any(_is_model(spec) for spec in init.values()),
        named_connections=_connections(init),
    )


def _is_vague(declared: tuple[str, ...], entry: _Entry) -> bool:
    """Whether the file alone tells the outputs: it names them, and the source does not tell all."""
    return bool(declared) and entry.gives.any


def _definition(top: Block, flow: Path) -> Definition | None:
    """What `entry` names."""
    written = top.text("entry", required=True)
    if written is None:
        return None
    module, colon, name = written.partition(":")
    if not colon or not name.isidentifier():
        top.problem(f"is {written!r}; expected <module>:<function or class>, for example `flow:answer`", "entry")
        return None
    path = module_file(flow, module)
    if path is None:
        top.problem(one_of(module, modules_in(flow), "module in the flow's folder"), "entry")
        return None
    shown = (PurePosixPath(top.document.file).parent / path.relative_to(flow).as_posix()).as_posix()
    tree = parsed(path, shown, top.problems)
    if tree is None:
        return None
    found = find(name, tree, path, flow)
    if found is None:
        top.problem(one_of(name, names_in(tree), f"function or class in {path.name}"), "entry")
    return found


def _entry(top: Block, definition: Definition) -> _Entry | None:
    node, module = definition.node, definition.module
    if node is None:  # imported from elsewhere, or made by a call: only the file can tell
        return _Entry(FlowKind.FUNCTION, _UNKNOWN, returns.ANY, _NOTHING)
    if isinstance(node, Function):
        return _Entry(FlowKind.FUNCTION, signatures.signature(node), returns.outputs(node, module), _NOTHING)
    call, sure = signatures.method_of(node, "__call__", module)
    if call is None and sure:
        top.problem(f"the class {node.name!r} has no method `__call__`, which is called for every line", "entry")
        return None
    init, init_sure = signatures.method_of(node, "__init__", module)
    fields = signatures.fields_of(node, module)
    if init is not None:
        taken = signatures.signature(init, method=True)
    elif fields is not None:
        taken = Signature(fields, takes_any=False)
    else:
        taken = _NOTHING if init_sure else _UNKNOWN
    if call is None:
        return _Entry(FlowKind.CLASS, _UNKNOWN, returns.ANY, taken)
    return _Entry(FlowKind.CLASS, signatures.signature(call, method=True), returns.outputs(call, module), taken)


def _merged(block: Block, taken: Signature, what: str) -> dict[str, FlowInput]:
    """Arguments by their signature, with the types and defaults that the file gives them."""
    found = dict(taken.arguments)
    for entry in block.entries():
        name = str(entry.path[-1])
        if name not in taken.arguments and not taken.takes_any:
            entry.problem(one_of(name, taken.arguments, what))
        elif entry.value is None or entry.mapping() is not None:
            spec: Mapping[str, Any] = entry.value or {}
            known = taken.arguments.get(name)
            kind = str(spec.get("type") or (known.type if known else "string"))
            if spec.get("default") == "":
                found[name] = _without_default(kind, known)
            elif spec.get("default") is not None or known is None:
                found[name] = FlowInput(kind, spec.get("default"))
            else:
                found[name] = FlowInput(kind, known.default, known.has_default)
    return found


def _without_default(kind: str, known: FlowInput | None) -> FlowInput:
    """An argument whose default in the file is an empty text: prompt flow's word for "as the source has it".

    Where the source has `None`, the empty text stays: such an argument is left out, and not taken from a column.
    """
    if known is None or known.required:
        return FlowInput(kind, has_default=False)
    return FlowInput(kind, "" if known.default is None else known.default, has_default=True)


def _init(top: Block, flow: Path, entry: _Entry) -> dict[str, FlowInput]:
    """The arguments of `__init__`, each with the value that the files give it."""
    found = _merged(top.child("init"), entry.init, "argument of `__init__`")
    types = wanted(entry.init, top.child("init"))
    for argument in top.child("init").entries():
        if isinstance(argument.value, dict) and argument.value.get("default") not in (None, ""):
            check_value(argument.child("default"), str(argument.path[-1]), types)
    sample = top.child("sample")
    values: dict[str, Any] = {}
    if isinstance(sample.value, dict) and isinstance(sample.value.get("init"), dict):
        for argument in sample.child("init").entries():
            name = str(argument.path[-1])
            if name in found or entry.init.takes_any:
                values[name] = argument.value
                check_value(argument, name, types)
            else:
                argument.problem(one_of(name, found, "argument of `__init__`"))
    if entry.kind is FlowKind.CLASS:
        values |= _init_file(top, flow, found, entry.init, types)
    for name, value in values.items():
        kind = found[name].type if name in found else "object"
        found[name] = FlowInput(kind, value, has_default=True)
    return found


def _init_file(
    top: Block, flow: Path, known: Mapping[str, FlowInput], taken: Signature, types: Mapping[str, Wanted]
) -> dict[str, Any]:
    """The values of `init.json`; `${…}` in them stay as they are written."""
    path = flow / INIT_FILE
    if not path.exists():
        return {}
    shown = (PurePosixPath(top.document.file).parent / INIT_FILE).as_posix()
    document = read_json(path, shown, top.problems)
    if document is None:
        return {}
    block = Block(document, (), document.value, top.problems)
    if block.mapping() is None:
        return {}
    for argument in block.entries():
        _check_secrets(argument)
        check_value(argument, str(argument.path[-1]), types)
    for name in document.value:
        if name not in known and not taken.takes_any:
            block.problem(one_of(name, known, "argument of `__init__`"), name)
    return {name: value for name, value in document.value.items() if name in known or taken.takes_any}


def _is_model(spec: FlowInput) -> bool:
    """Whether an argument of `__init__` is given a model: by its type, or by a connection in its value."""
    return spec.type.endswith(("ModelConfiguration", "Connection")) or bool(_connections({"": spec}))


def _connections(init: Mapping[str, FlowInput]) -> tuple[str, ...]:
    """The connections that the values of `__init__` name."""
    found: list[str] = []
    for spec in init.values():
        named = spec.default.get("connection") if isinstance(spec.default, dict) else None
        if spec.type.endswith("Connection"):
            named = spec.default
        if isinstance(named, str) and named and not named.startswith("${"):
            found.append(named)
    return tuple(dict.fromkeys(found))


def _check_secrets(argument: Block) -> None:
    """Keys in files would travel in every bundle, and into the history of the repository."""
    inside = argument.entries() if isinstance(argument.value, dict) else ()
    for value in (argument, *inside):
        name = str(value.path[-1])
        is_key = name == "api_key" and isinstance(value.value, str) and reference(value.value) is None
        if is_secret(name, value.value) or (is_key and not is_placeholder(value.value)):
            value.problem(f"holds a secret in clear; name a `connection`, or write ${{{name}}} and set the variable")


def _check_environment(block: Block) -> None:
    for entry in block.entries():
        name = str(entry.path[-1])
        if is_secret(name, entry.value):
            entry.problem(f"holds a secret in clear; write ${{<connection>.<key>}}, or ${{env:{name}}}")
        if not can_be_set(name, entry.value):
            entry.problem(f"the variable {name!r} {CANNOT_BE_SET}")
