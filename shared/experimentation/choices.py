"""The choices of variants and parameters that a chain compares, by the use case's strategy. Pure.

`one_at_a_time`: the default combination, then every other variant of every node with the rest at its default, then
every other value of every parameter. `product`: every combination. `list`: exactly those that the use case lists. A
selection then takes all of them (`*`), the default combination alone (`defaults`), or those that it names by `variant`,
`<node>.<variant>`, `<parameter>=<value>`, a whole label, or `default`. Names are case-sensitive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

from shared.digests import json_digest
from shared.errors import BusinessFailure
from shared.use_case.flow_model import FlowFacts
from shared.use_case.model import ListedChoice, Strategy
from shared.use_case.problems import one_of

DEFAULT: Final = "default"
MOST_CHOICES: Final = 99_999
"""More could not be run: a cell's name has five digits."""
_LONGEST_VALUE: Final = 60
_LONGEST_LABEL: Final = 200


@dataclass(frozen=True)
class Choice:
    """One combination, complete: every node with variants and every parameter has its value."""

    label: str
    variants: Mapping[str, str]
    parameters: Mapping[str, object]
    names: frozenset[str] = field(compare=False)
    """What a selection may call it."""
    is_default: bool = False


@dataclass(frozen=True)
class Space:
    """Everything that may be varied, and the default of each."""

    variants: Mapping[str, tuple[str, ...]]
    """Node → its variants."""
    default_variants: Mapping[str, str]
    parameters: Mapping[str, tuple[object, ...]]
    """Parameter → its values; the first is the default."""

    @property
    def default_parameters(self) -> dict[str, object]:
        """Parameter → its default value."""
        return {key: values[0] for key, values in self.parameters.items()}

    def choice(
        self, variants: Mapping[str, str], parameters: Mapping[str, object], *, label: str = "", whole: bool = False
    ) -> Choice:
        """The combination that has these where it is not at its default; `whole`: every setting names it, not only
        those that differ.
        """
        other = {node: variant for node, variant in variants.items() if variant != self.default_variants[node]}
        differing = [f"{node}.{variant}" for node, variant in other.items()]
        short = set(other.values())
        for key, value in parameters.items():
            if key not in self.parameters or not same(value, self.parameters[key][0]):
                differing.append(f"{key}={shown(value)}")
        all_variants = {**self.default_variants, **variants}
        all_parameters = {**self.default_parameters, **parameters}
        derived = _cut(" + ".join(differing)) if differing else DEFAULT
        names = {label or derived, derived} | (set(differing) | short if whole or len(differing) == 1 else set())
        if whole:
            names |= {*all_variants.values(), *(f"{node}.{variant}" for node, variant in all_variants.items())}
            names |= {f"{key}={shown(value)}" for key, value in all_parameters.items()}
        elif not differing:
            names |= {*all_variants.values(), *(f"{node}.{variant}" for node, variant in all_variants.items())}
        return Choice(label or derived, all_variants, all_parameters, frozenset(names), is_default=not differing)

    @property
    def combinations(self) -> int:
        """How many combinations there are."""
        sizes = [len(names) for names in self.variants.values()] + [len(values) for values in self.parameters.values()]
        return math.prod(sizes)


def choices(
    facts: FlowFacts,
    parameters: Mapping[str, tuple[object, ...]],
    selection: str,
    strategy: Strategy = Strategy.ONE_AT_A_TIME,
    listed: tuple[ListedChoice, ...] = (),
) -> tuple[Choice, ...]:
    """The combinations that a selection means, in the order in which they are run.

    `parameters` are those of the use case with their values; `listed` is for `Strategy.LIST`.

    Raises:
        BusinessFailure: the selection names nothing that the use case has; says what is nearest. Or there are too many.
    """
    space = Space(facts.variants, facts.default_variants, parameters)
    wanted = [part.strip() for part in selection.split(",")]
    if wanted in (["defaults"], ["default"]):
        return (space.choice({}, {}),)
    everything = tuple(_distinct(_all(space, strategy, listed)))
    if wanted in (["*"], ["all"]):
        return everything
    known = {name for choice in everything for name in choice.names}
    if selection.strip() in known:  # a name may hold a comma
        wanted = [selection.strip()]
    for part in wanted:
        if part not in known:
            raise BusinessFailure(
                f"The selection {selection!r} cannot be run: {one_of(part, known, 'variant of this use case')}. "
                f"`*` selects everything, `defaults` the default combination."
            )
    return tuple(choice for choice in everything if choice.names.intersection(wanted))


def _all(space: Space, strategy: Strategy, listed: tuple[ListedChoice, ...]) -> Iterator[Choice]:
    match strategy:
        case Strategy.ONE_AT_A_TIME:
            yield from _one_at_a_time(space)
        case Strategy.PRODUCT:
            yield from _product(space)
        case Strategy.LIST:
            yield from _listed(space, listed)


def _one_at_a_time(space: Space) -> Iterator[Choice]:
    yield space.choice({}, {})
    for node, names in space.variants.items():
        for name in names:
            if name != space.default_variants[node]:
                yield space.choice({node: name}, {})
    for key, values in space.parameters.items():
        for value in values[1:]:
            yield space.choice({}, {key: value})


def _product(space: Space) -> Iterator[Choice]:
    if space.combinations > MOST_CHOICES:
        raise BusinessFailure(
            f"`strategy: product` makes {space.combinations:,} combinations of variants and parameters; "
            f"at most {MOST_CHOICES:,} can be run. Vary less, or list the combinations."
        )
    nodes = list(space.variants)
    # The default comes first, as everywhere.
    names = [
        (default, *(name for name in space.variants[node] if name != default))
        for node, default in ((node, space.default_variants[node]) for node in nodes)
    ]
    for combination in product(*names, *space.parameters.values()):
        variants = {node: str(name) for node, name in zip(nodes, combination, strict=False)}
        parameters = dict(zip(space.parameters, combination[len(nodes) :], strict=True))
        yield space.choice(variants, parameters, whole=True)


def _listed(space: Space, listed: tuple[ListedChoice, ...]) -> Iterator[Choice]:
    seen: dict[str, str] = {}
    for entry in listed:
        choice = space.choice(entry.variants, entry.parameters, label=entry.label or "", whole=True)
        if choice.label == DEFAULT and not choice.is_default:
            raise BusinessFailure(
                f"`strategy` names a combination {DEFAULT!r} that is not the default one: choose another name."
            )
        combination = json_digest([dict(choice.variants), dict(choice.parameters)])
        if choice.label in seen.values():
            raise BusinessFailure(f"`strategy` lists two combinations named {choice.label!r}: names must differ.")
        if combination in seen:
            raise BusinessFailure(
                f"`strategy` lists one combination twice, as {seen[combination]!r} and {choice.label!r}: remove one."
            )
        seen[combination] = choice.label
        yield choice


def _distinct(found: Iterable[Choice]) -> Iterator[Choice]:
    """The choices, each with a label of its own: results are told apart by it.

    Two may read alike: the variant `b=c` of the node `a`, and the value `c` of the parameter `a.b`.
    """
    seen: set[str] = set()
    for choice in found:
        if choice.label in seen:
            label = f"{choice.label}… {json_digest([dict(choice.variants), dict(choice.parameters)])[:8]}"
            choice = replace(choice, label=label, names=choice.names | {label})  # noqa: PLW2901
        seen.add(choice.label)
        yield choice


def same(one: object, other: object) -> bool:
    """Whether two values of a parameter are the same; 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def shown(value: object) -> str:
    """A value in a label: a text as it is unless it could be taken for another value, all else as JSON; short.

    A long one keeps its beginning and is told apart by its digest.
    """
    text = value if isinstance(value, str) and not _is_json(value) else json.dumps(value, ensure_ascii=False)
    plain = " ".join(text.split()).replace(",", ";")
    if plain == text and len(text) <= _LONGEST_VALUE:
        return text
    return f"{plain[:_LONGEST_VALUE]}… {json_digest(value)[:8]}"


def _cut(label: str) -> str:
    """A label that a table can show; a longer one is told apart by its digest."""
    return label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}… {json_digest(label)[:8]}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return not text  # nothing at all would read as a mistake
    return True
