"""What a use case's `experiment.yaml` says, once it has been read, overlaid and validated.

The vocabulary is that of microsoft/genaiops-promptflow-template; the blocks `parameters`, `gates`, `approval`,
`deployment` and `reuse` are optional additions. `load.py` builds these values and finds every problem; from here on
nothing needs checking again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True)
class Dataset:
    """Rows for an experiment (mappings give the flow's inputs) or for an evaluator (they give the evaluator's)."""

    name: str
    source: str
    """As written: a path, or a data asset (`azureml:<name>:<version>`; `azureml:<name>` is the latest)."""
    path: Path | None
    """The file that `source` resolved to; None for a data asset, which a chain fetches when it is prepared."""
    description: str
    mappings: Mapping[str, object]
    """Input → `${data.column}`, `${run.outputs.name}` or a constant."""
    reference: str | None = None
    """For an evaluator: the experiment dataset whose run it evaluates, where this dataset holds the ground truth."""
    max_rows: int | None = None
    """Only the first so many rows are used (the `pr` overlay of a use case sets it)."""


@dataclass(frozen=True)
class Evaluator:
    """An evaluation flow and the datasets that it is run for."""

    name: str
    flow: Path
    """Its folder."""
    datasets: tuple[Dataset, ...]
    """`dataset.reference or dataset.name` is the experiment dataset that each belongs to."""
    flow_file: str = "flow.dag.yaml"
    """The file in `flow` that describes it; empty for an evaluator without a flow file."""


@dataclass(frozen=True)
class Gate:
    """One condition on a metric. At least one of the three limits is set."""

    evaluator: str
    metric: str
    dataset: str | None = None
    """None: every dataset that the evaluator was run for."""
    at_least: float | None = None
    at_most: float | None = None
    max_drop: float | None = None
    """How far the metric may lie below the registered baseline's; without a baseline it holds."""


@dataclass(frozen=True)
class Gates:
    """The gates, and the metric that picks the candidate among the variants."""

    choose_by: tuple[str, str] | None = None
    """(evaluator, metric): the variant with the highest mean over datasets is the candidate. None: the default one."""
    checks: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class Approval:
    """Who approves a deployment."""

    approvers: tuple[str, ...] = ("approver",)
    """Mail addresses, or names that no mail reaches; of a group its address."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Of those approvers that are groups: mail address → object id in Entra ID."""
    required: int = 1
    """Approvals of different people that are needed."""
    requester_may_approve: bool = False
    """Whether who asks for a chain may approve it."""
    timeout_minutes: float = 60
    reminder_minutes: float = 30


@dataclass(frozen=True)
class Deployment:
    """Where the flow is deployed, and how it is tested there."""

    endpoint: str
    traffic: int = 100
    """Percent for a new deployment once it is tested, where a former one exists; the first one always gets 100."""
    after_ci: bool = False
    """Whether a ci chain goes on with approval and deployment."""
    sample_request: Path | None = None
    """JSON body of the endpoint test."""
    expected_outputs: tuple[str, ...] = ()
    """Keys that an answer must have; empty: the flow's outputs."""
    max_latency_ms: float | None = None
    test_calls: int = 5
    """Calls of the integration test, through the traffic split."""
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    """For the served flow, on top of the use case's own variables."""
    targets: tuple[DeploymentTarget, ...] = ()
    """Of `configs/deployment_config.json`, for this environment."""
    target: DeploymentTarget | None = None
    """The one of `targets` that this endpoint is served by; None: what the profile takes by default."""


class Reuse(StrEnum):
    """What of earlier chains may be taken instead of being run again."""

    NONE = "none"
    RUNS = "runs"
    """Whole runs: of the same flow content on the same dataset content."""
    LINES = "lines"
    """Single lines: of the same flow content with the same inputs."""


class Strategy(StrEnum):
    """Which combinations of variants and parameters are run."""

    ONE_AT_A_TIME = "one_at_a_time"
    """The default combination, then each other variant and value with all else at its default."""
    PRODUCT = "product"
    """Every combination."""
    LIST = "list"
    """Those that `strategy` lists, and no others."""


@dataclass(frozen=True)
class ListedChoice:
    """One combination of an explicit list; what it does not name has its default."""

    label: str | None
    """Its `name`; None: labelled by what it varies."""
    variants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """What a chain may cost: one that would need more is refused, with the count, before anything is run."""

    max_runs: int | None = None
    max_model_calls: int | None = None
    max_tokens: int | None = None
    """Of prompts and completions together, as estimated from the prompts' length and the limits of completions."""


@dataclass(frozen=True)
class ConnectionSpec:
    """A connection as `experiment.yaml` describes it; `shared/connections.py` resolves it."""

    name: str
    connection_type: str | None = None
    """As written, for example `AzureOpenAIConnection`; None where only the name is given."""
    values: Mapping[str, str] = field(default_factory=dict)
    """`api_base` (or `api_endpoint`), `api_version`, `api_key`, … → a value, or `${name}`."""
    configs: Mapping[str, str] = field(default_factory=dict)
    """Of a CustomConnection."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Of a CustomConnection: `${name}` only."""


@dataclass(frozen=True)
class DeploymentTarget:
    """One way to deploy in this environment, as `configs/deployment_config.json` describes it."""

    kind: str
    """`azure_managed_endpoint`, `kubernetes_endpoint`, `webapp_endpoint` or `kubernetes_cluster`."""
    options: Mapping[str, object]
    """The entry as it is written there."""


@dataclass(frozen=True)
class UseCase:
    """A use case folder in one environment."""

    name: str
    folder: Path
    environment: str
    description: str
    flow: Path
    """The standard flow's folder."""
    datasets: tuple[Dataset, ...]
    evaluators: tuple[Evaluator, ...]
    connections: tuple[ConnectionSpec, ...]
    parameters: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """What may be varied → values to try; the first value is the default.

    A key is `<node>.<input>` (DAG), `init.<argument>` (class flow; `init.model_config.azure_deployment` reaches into a
    mapping), `inputs.<input>` (any flow: in place of its mapping), or one of `MODEL_SETTINGS` (every `llm` node, or a
    prompty's model)."""
    strategy: Strategy = Strategy.ONE_AT_A_TIME
    choices: tuple[ListedChoice, ...] = ()
    """For `Strategy.LIST`."""
    repeat: int = 1
    """How often every cell is run, for a spread."""
    budget: Budget = Budget()
    gates: Gates = Gates()
    approval: Approval = Approval()
    deployment: Deployment | None = None
    runtime: str | None = None
    reuse: Reuse = Reuse.LINES
    tolerated_failures: float = 0.0
    concurrency: int = 32
    line_timeout_s: float = 120.0
    flow_file: str = "flow.dag.yaml"
    """The file in `flow` that describes the standard flow."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of `environment/env.yaml` for every flow: a value, or `${NAME}`."""
    warnings: tuple[Problem, ...] = ()
    """What is odd but harmless, such as a mapping for an input that the flow does not have."""

    def evaluators_of(self, dataset: str) -> tuple[str, ...]:
        """Names of the evaluators that evaluate runs on this experiment dataset."""
        return tuple(e.name for e in self.evaluators if any((d.reference or d.name) == dataset for d in e.datasets))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a use case folder."""

    file: str
    line: int
    """From 1; 0 where the whole file is meant."""
    key: str
    message: str
    """What was found, what was expected, and what to do."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"
