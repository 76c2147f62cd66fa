"""The entry of every flow without nodes on Azure ML: it loads the flow into the engine that runs it on a laptop, too.

The engines lie beside this file in `genaiops_code.zip`, what the run is about in `genaiops_run.json`, and what the
aggregation needs of lines that earlier runs have answered in `genaiops_known.jsonl`. Prompt flow imports this module
wherever a run is submitted, to see its signature: nothing of the flow is imported before an object of it is made, and
the flow lies in a folder of its own.
"""

# No `from __future__ import annotations`: prompt flow takes annotations as objects.

import heapq
import json
import os
import sys
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.absolute()
HIDDEN = "genaiops"
"""The output that carries what the aggregation needs of a line, as text."""
FAILED = "genaiops_aggregation_failed"
"""The metric that says that the aggregation failed; the run's log says how, after MARK."""
MARK = "genaiops-aggregation-failed:"
NOTHING = -1
"""The number of a line that is there only because a run must have one."""


class Flow:
    """The flow, loaded once. Prompt flow calls it once a line, and `__aggregate__` once a run."""

    def __init__(self) -> None:
        if sys.version_info < (3, 11):  # noqa: UP036  # the image is the workspace's, not ours
            raise RuntimeError(
                "Flows without nodes need Python 3.11 or later in the image of the compute session, and this one has "
                f"{sys.version.split()[0]}: name another image under `environment.image` in the flow's file."
            )
        run = json.loads((HERE / "genaiops_run.json").read_text(encoding="utf-8"))
        self._name = os.environ.get("GENAIOPS_RUN", "run")
        self._aggregates = run["aggregate"]
        self._has_known = run["known"]
        self._engine = _Engine(run)

    # Prompt flow reads these signatures: it refuses `-> dict`, and knows `dict` and `list` only without arguments.
    def __call__(self, number: int, inputs: dict):  # type: ignore[no-untyped-def, type-arg]  # noqa: ANN204
        """One line."""
        if number == NOTHING:
            return {HIDDEN: ""}
        return self._engine.line(number, inputs, self._name, keeps=self._aggregates)

    def __aggregate__(self, lines: list):  # type: ignore[no-untyped-def, type-arg]  # noqa: ANN204
        """The metrics of this run's lines and of those that earlier runs have answered, in line order."""
        if not self._aggregates or not self._engine.aggregates:
            return {}
        new = (json.loads(line[HIDDEN]) for line in lines if line.get(HIDDEN))
        known = _known() if self._has_known else iter(())
        ordered = heapq.merge(sorted(new, key=itemgetter("line")), known, key=itemgetter("line"))
        return self._engine.metrics(ordered, self._name)


class _Engine:
    """The flow in its engine. Everything of the engines is imported before anything of the flow."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        sys.path.insert(0, str(HERE / "genaiops_code.zip"))
        from shared.adapters.local.engines.connections import engine_form
        from shared.adapters.local.engines.contract import FlowError, FlowSource
        from shared.adapters.local.engines.kept import packed, unpacked
        from shared.adapters.local.engines.load import load, set_environment, step_aside
        from shared.adapters.local.engines.metrics import numbers
        from shared.adapters.local.engines.reasons import described, plain
        from shared.connections import Connection

        self._packed, self._unpacked, self._numbers = packed, unpacked, numbers
        self._described, self._plain, self._flow_error = described, plain, FlowError
        connections = _Workspace(Connection, engine_form, run["connections"])
        connections.serve_prompties()
        source = FlowSource(HERE / run["folder"], run["flow_file"], connections, _scratch())
        set_environment(source, {name: os.environ[name] for name in run["environment"] if name in os.environ})
        step_aside(source, "", None, not_from=[str(HERE / "genaiops_code.zip")])
        self._executable = load(source).executable({}, run["parameters"])

    @property
    def aggregates(self) -> bool:
        """Whether it makes metrics of its lines."""
        return bool(self._executable.aggregates)

    def line(self, number: int, inputs: dict[str, Any], run: str, *, keeps: bool) -> dict[str, Any]:
        """The outputs of one line, with what the aggregation needs of it."""
        try:
            result = self._executable.line(inputs, number, run)
            outputs = self._plain(result.outputs)
        except SystemExit as error:
            raise self._flow_error(f"The flow called sys.exit({error.code!r}): a node must return or raise.") from None
        except Exception as error:  # told in the words of the laptop: prompt flow has others for each way to run a line
            raise self._flow_error(self._described(error)) from error
        if keeps and self.aggregates and result.kept is not None:
            outputs[HIDDEN] = json.dumps({"line": number, **self._packed(result.kept)})
        return outputs

    def metrics(self, lines: Iterator[Mapping[str, Any]], run: str) -> dict[str, float]:
        """What the aggregation returns and logs, as far as it is numbers."""
        from promptflow._core.metric_logger import add_metric_logger, remove_metric_logger

        logged: dict[str, Any] = {}

        def log(key: str, value: Any) -> None:
            logged[key] = value

        kept = []
        for line in lines:
            if line.get("aggregated", line.get("kept")) is None:
                text = f"line {line['line'] + 1} was taken from an earlier run, which kept nothing of it: run it afresh"
                return {FAILED: _told(text)}
            kept.append(self._unpacked(line))
        metrics: dict[str, float] = {}
        if not kept:
            return metrics
        add_metric_logger(log)
        try:
            aggregation = self._executable.aggregate(kept, run)
            metrics, wrong = self._numbers({**logged, **aggregation.metrics})
            error = aggregation.error or wrong
        except BaseException as raised:  # SystemExit, too: the lines have run, and their results must stay
            error = self._described(raised)
        finally:
            remove_metric_logger(log)
        return {**metrics, FAILED: _told(error)} if error else metrics


class _Workspace(Mapping[str, Any]):
    """The workspace's connections, each fetched when it is asked for: it may have others, and need not tell."""

    def __init__(self, form: Any, engine_form: Any, names: list[str]) -> None:
        self._form = form
        self._engine_form = engine_form
        self._names = names
        self._fetched: dict[str, Any] = {}

    def serve_prompties(self) -> None:
        """Have a prompty that names a connection ask here: of itself it asks the computer that it runs on."""
        from promptflow.core import _prompty_utils

        def by_name(name: str) -> Any:
            return self._engine_form(self[name])["value"], self._asked(name).TYPE

        _prompty_utils.get_connection_by_name = by_name

    def _asked(self, name: str) -> Any:
        from promptflow.core._connection_provider._connection_provider import ConnectionProvider

        return ConnectionProvider.get_instance().get(name)

    def __getitem__(self, name: str) -> Any:
        if name not in self._fetched:
            try:
                found = self._asked(name)
            except Exception as error:
                raise KeyError(f"the workspace gives no connection {name!r}: {error}") from error
            self._fetched[name] = self._converted(name, found)
        return self._fetched[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _converted(self, name: str, found: Any) -> Any:
        def of(*keys: str) -> str:
            return next((str(value) for key in keys if (value := getattr(found, key, None))), "")

        kind = type(found).__name__
        types = {
            "AzureOpenAIConnection": "azure",
            "OpenAIConnection": "openai",
            "CognitiveSearchConnection": "azure_ai_search",
            "AzureAISearchConnection": "azure_ai_search",
            "AzureContentSafetyConnection": "azure_content_safety",
            "SerpConnection": "serp",
            "ServerlessConnection": "serverless",
        }
        configs = {str(key): str(value) for key, value in (getattr(found, "configs", None) or {}).items()}
        secrets = {str(key): str(value) for key, value in (getattr(found, "secrets", None) or {}).items()}
        api_type = types.get(kind, "custom")
        if api_type != "custom":
            configs, secrets = ({"organization": of("organization")} if of("organization") else {}), {}
        return self._form(
            name=name,
            api_type=api_type,
            api_base=of("api_base", "base_url", "endpoint"),
            api_key="" if api_type == "custom" else of("api_key"),
            api_version=of("api_version"),
            configs=configs,
            secrets=secrets,
        )


def _known() -> Iterator[Mapping[str, Any]]:
    with (HERE / "genaiops_known.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _scratch() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="genaiops-"))


def _told(error: str) -> float:
    from promptflow._utils.logger_utils import bulk_logger

    bulk_logger.error("%s %s", MARK, json.dumps(error[:4_000]))
    return 1.0
