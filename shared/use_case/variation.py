"""The blocks that span the run matrix: `parameters`, `strategy`, `repeat` and `budget`.

Every key and variant in them is checked against the flow, with the vocabulary that `UseCase.parameters` describes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

from shared.use_case.block import Block
from shared.use_case.flow_model import MODEL_SETTINGS, FlowFacts, FlowInput, FlowKind
from shared.use_case.model import Budget, ListedChoice, Strategy
from shared.use_case.problems import one_of
from shared.use_case.value_types import misfit

MOST_REPEATS: Final = 100
LONGEST_LABEL: Final = 60
_RESERVED: Final = frozenset({"*", "all", "defaults", "log"})
"""What a selection of choices, or a report, means by these words."""
_MODEL_CONFIGURATIONS: Final[Mapping[str, frozenset[str]]] = {
    "AzureOpenAIModelConfiguration": frozenset({"azure_deployment", "azure_endpoint", "api_version", "connection"}),
    "OpenAIModelConfiguration": frozenset({"model", "base_url", "organization", "connection"}),
}
"""Type of an `init` argument → its keys, without the secret one."""


def parameters(block: Block, facts: FlowFacts | None) -> dict[str, tuple[object, ...]]:
    """`parameters`: what is varied → the values to try."""
    found: dict[str, tuple[object, ...]] = {}
    for entry in block.entries():
        key = str(entry.path[-1])
        before = block.problems.count
        values = entry.items()
        if not values and entry.value in (None, []):
            entry.problem("needs a list of one or more values; the first is the default")
        seen: list[str] = []
        for value in values:
            text = _constant(value)
            if text in seen:
                value.problem(f"{text} is there twice; remove one"[:200])
            seen.append(text)
        check_key(entry, key, facts)
        if block.problems.count == before:
            for value in values:
                _check_type(value, key, facts)
        found[key] = tuple(value.value for value in values)
    _check_overlaps(block, found, (), facts)
    return found


def _constant(value: Block) -> str:
    """The value as JSON; a problem if it is none, or refers to something."""
    text = json.dumps(value.value, sort_keys=True)
    if "NaN" in text or "Infinity" in text or (isinstance(value.value, str) and value.value.startswith("${")):
        value.problem(f"is {text}; expected a constant"[:200])
    return text


def _check_type(value: Block, key: str, facts: FlowFacts | None) -> None:
    if facts is not None and (expected := misfit(key, value.value, facts)):
        value.problem(f"is {value.value!r}"[:120] + f"; {expected}")


def _check_overlaps(block: Block, keys: Collection[str], others: Collection[str], facts: FlowFacts | None) -> None:
    """No two parameters set the same thing, among themselves or with `others`: nobody could tell which one wins."""
    for key in (*keys, *others):
        for other in (*keys, *others):
            if key not in keys and other not in keys:
                continue
            inside = key.startswith("init.") and other.startswith(f"{key}.")
            node, _, name = other.partition(".")
            if inside or (key == name and facts is not None and node in facts.nodes):
                block.problem(f"sets what {key!r} sets as well; keep one of the two", other)


def check_key(entry: Block, key: str, facts: FlowFacts | None) -> None:
    """A parameter names something that the flow offers to vary."""
    head, dot, rest = key.partition(".")
    if dot and not rest:
        entry.problem(f"{key!r} must have the form <node>.<input>, for example `classify.temperature`")
    elif facts is None:
        return
    elif not dot:
        _check_setting(entry, key, facts)
    elif head in facts.nodes:
        _check_node(entry, head, rest, facts)
    elif head == "inputs":
        if rest not in facts.inputs and not facts.takes_any_input:
            entry.problem(one_of(rest, facts.inputs, "input of the flow"))
    elif head == "init" and facts.kind is FlowKind.CLASS:
        _check_init(entry, rest, facts.init)
    elif facts.kind is FlowKind.DAG:
        entry.problem(one_of(head, facts.nodes, "node of the flow") + "; or vary `inputs.<input>` or a model setting")
    else:
        entry.problem(f"{key!r} is nothing that this flow offers to vary; {_offers(facts)}")


def _offers(facts: FlowFacts) -> str:
    offers = [f"inputs.{name}" for name in facts.inputs] + [f"init.{name}" for name in facts.init]
    offers += sorted(MODEL_SETTINGS) if facts.kind is FlowKind.PROMPTY else []
    return f"expected one of: {', '.join(offers[:20])}" if offers else "it has neither inputs nor `init` arguments"


def _check_setting(entry: Block, key: str, facts: FlowFacts) -> None:
    llm = any(spec.type == "llm" for specs in facts.nodes.values() for spec in specs.values())
    if facts.kind is FlowKind.DAG or facts.kind is FlowKind.PROMPTY:
        if key not in MODEL_SETTINGS:
            form = "" if facts.kind is FlowKind.PROMPTY else ", and not of the form <node>.<input>"
            entry.problem(one_of(key, MODEL_SETTINGS, f"model setting{form}"))
        elif facts.kind is FlowKind.DAG and not llm:
            entry.problem(f"{key!r} means every llm node, but this flow has none; expected <node>.<input>")
        return
    hints = [f"{part}.{key}" for part, there in (("inputs", facts.inputs), ("init", facts.init)) if key in there]
    hints += [f"init.{name}.{key}" for name, spec in facts.init.items() if key in _keys(spec)]
    if key == "deployment_name":
        hints += [f"init.{name}.azure_deployment" for name, spec in facts.init.items() if "Azure" in spec.type]
    hint = f"did you mean `{hints[0]}`?" if hints else _offers(facts)
    entry.problem(f"{key!r} means llm nodes or a prompty's model, which this flow has not; {hint}")


def _check_node(entry: Block, node: str, name: str, facts: FlowFacts) -> None:
    takes = facts.takes(node)
    if takes is not None and name not in takes:
        entry.problem(one_of(name, takes, f"input of the node {node!r}"))
    elif any(str(spec.inputs.get(name, "")).startswith("${") for spec in facts.nodes[node].values()):
        entry.problem("this input is fed by the flow, so that a constant would cut it off; choose another input")


def _check_init(entry: Block, rest: str, init: Mapping[str, FlowInput]) -> None:
    argument, dot, inside = rest.partition(".")
    if argument not in init:
        entry.problem(one_of(argument, init, "argument of the flow's `__init__`"))
    elif dot:
        key = inside.partition(".")[0]
        if key == "api_key":
            entry.problem("would hold a secret in clear; vary the `connection` instead")
        elif key not in (keys := _keys(init[argument])):
            entry.problem(one_of(key, keys, f"key of the argument {argument!r}"))


def _keys(spec: FlowInput) -> frozenset[str]:
    """What an `init` argument has inside."""
    own = frozenset(spec.default) if isinstance(spec.default, dict) else frozenset[str]()
    return (own | _MODEL_CONFIGURATIONS.get(spec.type, frozenset())) - {"api_key"}


def connections_in(parameters_: Mapping[str, tuple[object, ...]]) -> dict[str, str]:
    """Connection → the parameter `init.….connection` that brings it in."""
    named = {key: values for key, values in parameters_.items() if key.endswith(".connection")}
    return {value: key for key, values in named.items() for value in values if isinstance(value, str)}


def strategy(
    block: Block, facts: FlowFacts | None, varied: Mapping[str, tuple[object, ...]]
) -> tuple[Strategy, tuple[ListedChoice, ...]]:
    """`strategy`: which combinations are run; with an explicit list, those. `varied` is `parameters`."""
    if block.value is None:
        return Strategy.ONE_AT_A_TIME, ()
    words = [Strategy.ONE_AT_A_TIME.value, Strategy.PRODUCT.value]
    if not isinstance(block.value, list):
        if block.value not in words:
            listed = "; or a list of `- name: …` with `variants` and `parameters`"
            block.problem((one_of(block.value, words, "strategy") + listed)[:300])
            return Strategy.ONE_AT_A_TIME, ()
        return Strategy(block.value), ()
    default = _combination(ListedChoice(None), facts, varied)
    choices: list[ListedChoice] = []
    seen: set[str] = set()
    for item in block.items():
        if item.mapping(("name", "variants", "parameters")) is None:
            continue
        choice = _choice(item, choices, facts, varied)
        combination = _combination(choice, facts, varied)
        if combination in seen:
            item.problem("is the same choice as one above; remove one, or use `repeat` for a spread")
        if choice.label == "default" and combination != default:
            item.problem("'default' is not the default combination; choose another name", "name")
        seen.add(combination)
        choices.append(choice)
    if not block.value:
        block.problem("lists nothing; expected at least one `- name: …` with `variants` or `parameters`")
    return Strategy.LIST, tuple(choices)


def _combination(choice: ListedChoice, facts: FlowFacts | None, varied: Mapping[str, tuple[object, ...]]) -> str:
    """Everything that a choice sets, what it does not name at its default."""
    variants = {**(facts.default_variants if facts is not None else {}), **choice.variants}
    values = {**{key: options[0] for key, options in varied.items() if options}, **choice.parameters}
    return json.dumps([variants, values], sort_keys=True)


def _choice(
    item: Block, others: list[ListedChoice], facts: FlowFacts | None, varied: Mapping[str, tuple[object, ...]]
) -> ListedChoice:
    label = item.text("name", most=LONGEST_LABEL)
    if label is not None and (label in _RESERVED or "," in label or label != label.strip() or "\n" in label):
        item.problem(
            f"{label!r} cannot be selected by `--variants`; write a name without comma, and none of its words", "name"
        )
    elif label is not None and any(other.label == label for other in others):
        item.problem(f"there is another choice named {label!r}; names must differ", "name")
    variants: dict[str, str] = {}
    for entry in item.child("variants").entries():
        node, variant = str(entry.path[-1]), str(entry.value)
        variants[node] = variant
        if facts is not None and node not in facts.variants:
            entry.problem(one_of(node, facts.variants, "node with variants"))
        elif facts is not None and variant not in facts.variants[node]:
            entry.problem(one_of(variant, facts.variants[node], f"variant of the node {node!r}"))
    values: dict[str, object] = {}
    for entry in item.child("parameters").entries():
        key = str(entry.path[-1])
        before = item.problems.count
        _constant(entry)
        check_key(entry, key, facts)
        if item.problems.count == before:
            _check_type(entry, key, facts)
        values[key] = entry.value
    _check_overlaps(item.child("parameters"), values, varied, facts)
    return ListedChoice(label, variants, values)


def repeat(block: Block) -> int:
    """`repeat`: how often every cell is run."""
    return block.integer("repeat", 1, MOST_REPEATS) or 1


def budget(block: Block) -> Budget:
    """`budget`: what a chain may cost."""
    if block.value is None or block.mapping({"max_runs", "max_model_calls", "max_tokens"}) is None:
        return Budget()
    return Budget(
        max_runs=block.integer("max_runs", 1, 99_999),
        max_model_calls=block.integer("max_model_calls", 0, 10**9),
        max_tokens=block.integer("max_tokens", 0, 10**12),
    )
