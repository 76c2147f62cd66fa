"""The choices of variants and parameters that a chain compares: one thing is varied at a time. Pure.

`*` is the default combination, then every other variant of every node with the rest at its default, then every other
value of every parameter. `defaults` is the default combination alone. Anything else is a list of labels: `variant`,
`<node>.<variant>`, `<node>.<input>=<value>` or `default`; then exactly those are run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.digests import json_digest
from shared.errors import BusinessFailure
from shared.use_case.flow_facts import FlowFacts
from shared.use_case.problems import one_of

DEFAULT: Final = "default"
_LONGEST_VALUE: Final = 60


@dataclass(frozen=True)
class Choice:
    """One combination, complete: every node with variants and every parameter has its value."""

    label: str
    variants: Mapping[str, str]
    parameters: Mapping[str, object]
    varied: tuple[str, str] | None = None
    """The (node, variant) that is not the default one; None where no variant is."""


def choices(facts: FlowFacts, parameters: Mapping[str, tuple[object, ...]], selection: str) -> tuple[Choice, ...]:
    """The combinations that a selection means, in the order in which they are run.

    Raises:
        BusinessFailure: the selection names nothing that the use case has; says what is nearest.
    """
    everything = _all(facts, parameters)
    wanted = [part.strip() for part in selection.split(",")]
    match wanted:
        case ["*" | "all"]:
            return everything
        case ["defaults" | "default"]:
            return everything[:1]
        case _:
            return _listed(everything, wanted, selection, facts)


def _listed(everything: tuple[Choice, ...], wanted: list[str], selection: str, facts: FlowFacts) -> tuple[Choice, ...]:
    found: dict[str, Choice] = {}
    for part in wanted:
        matching = [choice for choice in everything if part in _names(choice, facts)]
        if not matching:
            names = {name for choice in everything for name in _names(choice, facts)}
            raise BusinessFailure(
                f"The selection {selection!r} cannot be run: {one_of(part, names, 'variant of this use case')}. "
                f"`*` selects everything, `defaults` the default combination."
            )
        found |= {choice.label: choice for choice in matching}
    return tuple(choice for choice in everything if choice.label in found)


def _all(facts: FlowFacts, parameters: Mapping[str, tuple[object, ...]]) -> tuple[Choice, ...]:
    variants = dict(facts.default_variants)
    values = {key: options[0] for key, options in parameters.items()}
    other_variants = (
        Choice(f"{node}.{name}", {**variants, node: name}, values, (node, name))
        for node, names in facts.variants.items()
        for name in names
        if name != variants[node]
    )
    other_values = (
        Choice(f"{key}={_shown(value)}", variants, {**values, key: value})
        for key, options in parameters.items()
        for value in options[1:]
    )
    return (Choice(DEFAULT, variants, values), *other_variants, *other_values)


def _names(choice: Choice, facts: FlowFacts) -> set[str]:
    """What a selection may call a choice. A default variant's name means the default combination."""
    names = {choice.label}
    if choice.label == DEFAULT:
        for node, variant in facts.default_variants.items():
            names |= {variant, f"{node}.{variant}"}
    elif choice.varied is not None:
        names.add(choice.varied[1])
    return names


def _shown(value: object) -> str:
    """A value in a label: a text as it is unless it could be taken for another value, all else as JSON; short.

    A long one keeps its beginning and is told apart by its digest.
    """
    text = value if isinstance(value, str) and not _is_json(value) else json.dumps(value, ensure_ascii=False)
    plain = " ".join(text.split()).replace(",", ";")
    if plain == text and len(text) <= _LONGEST_VALUE:
        return text
    return f"{plain[:_LONGEST_VALUE]}… {json_digest(value)[:8]}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return not text  # nothing at all would read as a mistake
    return True
