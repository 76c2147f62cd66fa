"""Reads a use case folder in one environment, or says everything that is wrong with it.

`experiment.yaml` is read, then the blocks of `experiment.<environment>.yaml` take the place of its blocks (never of its
name or flow). Then the blocks are checked against each other, the flows, and the datasets' columns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shared.names import checked
from shared.use_case import members, options, prompt_variables, variation
from shared.use_case.block import Block
from shared.use_case.connections_block import connections
from shared.use_case.data import DataReader
from shared.use_case.dataset_files import Assets, DatasetFiles
from shared.use_case.deployment_block import deployment
from shared.use_case.environment_references import check_environment_references
from shared.use_case.flow_facts import FLOW_FILE, FlowFacts, read_flow
from shared.use_case.flow_files import FlowPlace, find_flow
from shared.use_case.init_values import lacks_model
from shared.use_case.model import Evaluator, UseCase
from shared.use_case.modules import check_modules
from shared.use_case.problems import InvalidUseCase, Problems, one_of
from shared.use_case.sources import EXPERIMENT, overlays
from shared.use_case.stray_files import check_strays
from shared.use_case.top_level import top_level
from shared.use_case.variables import read_variables
from shared.use_case.yaml_file import read_yaml

__all__ = ["DEFAULT_ENVIRONMENT", "InvalidUseCase", "load"]

DEFAULT_ENVIRONMENT: Final = "dev"
"""The environment that needs no overlay; every other one is known by its file `experiment.<environment>.yaml`."""

FIXED: Final = ("name", "flow")
"""What no overlay changes."""
KEYS: Final = (
    *FIXED,
    "description",
    "connections",
    "datasets",
    "evaluators",
    "runtime",
    "parameters",
    "strategy",
    "repeat",
    "budget",
    "gates",
    "approval",
    "deployment",
    "reuse",
    "tolerated_failures",
    "concurrency",
    "line_timeout_s",
)


def load(
    folder: Path,
    environment: str,
    *,
    data: Path | None,
    name: str | None = None,
    read_data: bool = True,
    assets: Assets | None = None,
) -> UseCase:
    """Read and validate a use case.

    Args:
        folder: the use case folder, holding `experiment.yaml`.
        environment: whose overlay `experiment.<environment>.yaml` applies.
        data: the folder that holds a folder of datasets per use case (`settings.data`); None: the use case brings its
            own, as an unpacked bundle does.
        name: the use case that this folder must be; None: any.
        read_data: whether the datasets are read to check their columns; False for a use case that was checked before.
        assets: (the use case's name, a source `azureml:…`) → a local file of that data asset, raising BusinessFailure
            where there is none; without it, data assets and their columns are not checked.

    Raises:
        InvalidUseCase: with every problem that was found.
        InvalidName: the environment is no name.
    """
    checked(environment, "environment")
    problems = Problems()
    use_case = _Loader(folder.resolve(), problems, data, read_data, assets).load(environment, name)
    problems.raise_if_any()
    assert use_case is not None
    return replace(use_case, warnings=tuple(problems.warnings))


@dataclass(frozen=True)
class _Flow:
    """A flow that a block names; no facts where the flow itself has problems."""

    folder: Path
    facts: FlowFacts | None
    file: str = FLOW_FILE
    block: Block | None = None
    """What names it; None where it was not found."""


class _Loader:
    """Reads one use case; everything wrong goes to `problems`."""

    def __init__(
        self, folder: Path, problems: Problems, data: Path | None, read_data: bool, assets: Assets | None
    ) -> None:
        self.folder = folder
        self.problems = problems
        self.data = data
        self.read_data = read_data
        self.assets = assets
        self.flows: dict[FlowPlace, FlowFacts | None] = {}
        self.used: dict[str, Block] = {}
        """Connection → the block that names the flow that uses it."""

    def load(self, environment: str, asked_for: str | None) -> UseCase | None:
        """The use case, if its file can be read at all; it is of use only where there is no problem."""
        base = self.base()
        if self.read_data and base is not None:
            members.check(self.folder, self.data, self.problems)
        overlay = self.overlay(environment, base)
        check_strays(self.folder, self.problems)
        if base is None:
            return None
        name = base.name("name")
        if name and asked_for not in (None, name):
            base.problem(f"is {name!r}, but the use case {asked_for!r} was asked for; ask for {name!r}", "name")
        flow = self.flow(base, name, evaluator=False)

        def holder(key: str) -> Block:
            return overlay if overlay is not None and key in overlay else base

        parameters = variation.parameters(holder("parameters").child("parameters"), flow.facts)
        strategy, choices = variation.strategy(holder("strategy").child("strategy"), flow.facts, parameters)
        varied = {*parameters, *(key for choice in choices for key in choice.parameters)}
        self.check_init(flow, varied)
        self.check_prompts(flow, varied)
        for connection, key in variation.connections_in(parameters).items():
            self.used.setdefault(connection, holder("parameters").child("parameters").child(key))
        # Where the name itself is wrong, the folder's tells where the data is: one mistake is not to look like ten.
        outside = self.data / (name or self.folder.name) if self.data is not None else None
        reader = DataReader(
            DatasetFiles(self.folder, outside, use_case=name, read_data=self.read_data, assets=self.assets),
            flow=flow.facts,
            supplied={key.removeprefix("inputs.") for key in parameters if key.startswith("inputs.")},
        )
        datasets = reader.experiment_datasets(holder("datasets").child("datasets"))
        evaluators = self.evaluators(holder("evaluators").child("evaluators"), reader, base)
        to_deploy = deployment(holder("deployment"), flow.facts, name, environment)
        after_merge = to_deploy is not None and to_deploy.after_ci
        described = connections(holder("connections").child("connections"), self.used)
        for place in self.flows:
            if self.read_data:
                check_modules(place.folder, self.folder, self.problems)
            check_environment_references(place.folder / place.file, place.shown(self.folder), described, self.problems)
        return UseCase(
            name=name,
            folder=self.folder,
            environment=environment,
            description=holder("description").text("description", default="") or "",
            flow=flow.folder,
            flow_file=flow.file,
            datasets=datasets,
            evaluators=evaluators,
            connections=described,
            parameters=parameters,
            strategy=strategy,
            choices=choices,
            repeat=variation.repeat(holder("repeat")),
            budget=variation.budget(holder("budget").child("budget")),
            gates=options.gates(holder("gates").child("gates"), evaluators),
            approval=options.approval(holder("approval").child("approval"), after_merge=after_merge),
            deployment=to_deploy,
            variables=read_variables(self.folder, self.problems),
            runtime=holder("runtime").text("runtime"),
            reuse=options.reuse(holder("reuse").child("reuse")),
            tolerated_failures=holder("tolerated_failures").number("tolerated_failures", 0, 1) or 0.0,
            concurrency=holder("concurrency").integer("concurrency", 1, 1_000) or UseCase.concurrency,
            line_timeout_s=holder("line_timeout_s").number("line_timeout_s", 0.1, 86_400) or UseCase.line_timeout_s,
        )

    def base(self) -> Block | None:
        """`experiment.yaml`."""
        document = read_yaml(self.folder / EXPERIMENT, EXPERIMENT, self.problems)
        return top_level(document, KEYS, self.folder, self.problems) if document is not None else None

    def overlay(self, environment: str, base: Block | None) -> Block | None:
        """The overlay of the environment; None where it has none (or an empty one)."""
        found = overlays(self.folder)
        if environment not in found:
            if environment != DEFAULT_ENVIRONMENT:
                known = one_of(environment, {DEFAULT_ENVIRONMENT, *found}, "environment of this use case")
                self.problems.add(
                    EXPERIMENT, 0, "environment", f"{known}; or add experiment.{environment}.yaml, which may be empty"
                )
            return None
        document = read_yaml(self.folder / found[environment], found[environment], self.problems, may_be_empty=True)
        if document is None or document.value is None:
            return None
        block = top_level(document, KEYS, self.folder, self.problems)
        for key in FIXED:
            if block is not None and base is not None and key in block and block.value[key] != base.value.get(key):
                # Folders of microsoft/genaiops-promptflow-template have such overlays, and it passes over them, too.
                block.warn(
                    f"an overlay never changes the {key}: it stays {base.value.get(key)!r}; remove this key", key
                )
        return block

    def flow(self, block: Block, name: str, *, evaluator: bool) -> _Flow:
        """The flow that a block's `flow` (or, without one, its name) means."""
        written = block.text("flow") or name
        key = "flow" if "flow" in block else "name"
        place = find_flow(written, self.folder, evaluator=evaluator) if written else None
        if not isinstance(place, FlowPlace):
            if place is not None:
                block.problem(place, key)
            return _Flow(self.folder, None)
        if place not in self.flows:
            self.flows[place] = read_flow(place.folder, place.file, self.problems, shown=place.shown(self.folder))
        facts = self.flows[place]
        for connection in facts.connections if facts is not None else ():
            self.used.setdefault(connection, block.child(key))
        return _Flow(place.folder, facts, place.file, block.child(key))

    def check_init(self, flow: _Flow, parameters: Collection[str]) -> None:
        """Every argument of a class flow's `__init__` has a value, and every prompty a model."""
        named = flow.facts is None or flow.facts.names_model or {"deployment_name", "model"} & set(parameters)
        if not named and flow.block is not None:
            said = "names no model; add `azure_deployment` (or `model`) to the configuration of its prompty"
            flow.block.problem(said)
        for name, spec in flow.facts.init.items() if flow.facts is not None else ():
            if spec.required and f"init.{name}" not in parameters and flow.block is not None:
                flow.block.problem(f"the argument {name!r} of its `__init__` has no value; give it one in init.json")
            lacking = lacks_model(spec.type, spec.default)
            varied = {f"init.{name}", f"init.{name}.{lacking}"} & set(parameters)
            if lacking and not varied and flow.block is not None:
                flow.block.problem(f"the argument {name!r} of its `__init__` lacks {lacking!r}; add it in init.json")

    def check_prompts(self, flow: _Flow, given: Collection[str]) -> None:
        """What the prompts of a flow's nodes write out has a value."""
        if flow.facts is not None:
            prompt_variables.check_prompts(flow.folder, flow.facts, given, self.folder, self.problems)

    def evaluators(self, block: Block, reader: DataReader, base: Block) -> tuple[Evaluator, ...]:
        """The evaluators, with the datasets that this environment runs.

        An overlay may replace the datasets and keep the evaluators: those then lose the datasets that only the base
        file has.
        """
        listed = base.value.get("datasets")
        keeps = block.document is base.document and isinstance(listed, list)
        elsewhere = {str(dataset.get("name")) for dataset in listed if isinstance(dataset, dict)} if keeps else set()
        found: list[Evaluator] = []
        for item in block.items():
            if item.mapping(("name", "flow", "datasets", "description")) is None:
                continue
            name = item.name("name")
            if any(evaluator.name == name for evaluator in found):
                item.problem(f"there is another evaluator named {name!r}; names must differ", "name")
            flow = self.flow(item, name, evaluator=True)
            self.check_init(flow, ())
            self.check_prompts(flow, ())
            datasets = reader.evaluator_datasets(item.child("datasets"), flow.facts, elsewhere)
            found.append(Evaluator(name=name, flow=flow.folder, datasets=tuple(datasets), flow_file=flow.file))
        return tuple(found)
