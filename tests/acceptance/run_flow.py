"""Runs one flow with promptflow itself, in a process of its own: two flows may have modules of one name.

Reads JSON objects from standard input, one a line (flow, api_base, runs: each with variants, parameters and lines), and
answers each with a line that holds a list: per run its lines (status, outputs, error, tokens) and its metrics. The
product's own runner is not used: this is what it is held to.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as scratch:
        numbers = itertools.count()
        for asked in map(json.loads, sys.stdin):
            results = [_run(asked, run, Path(scratch, str(next(numbers)))) for run in asked["runs"]]
            print(json.dumps(results), file=answers, flush=True)


def _run(asked: dict[str, Any], run: dict[str, Any], folder: Path) -> dict[str, Any]:
    from promptflow.executor import FlowExecutor

    shutil.copytree(asked["flow"], folder, ignore=shutil.ignore_patterns("__pycache__"))
    dag = YAML(typ="safe").load(folder / "flow.dag.yaml")
    _choose(dag, run["variants"], run["parameters"])
    YAML(typ="safe").dump(dag, folder / "flow.dag.yaml")
    connection = {
        "type": "AzureOpenAIConnection",
        "value": {"api_key": "none", "api_base": asked["api_base"], "api_type": "azure", "api_version": "2024-02-01"},
        "module": "promptflow.connections",
    }
    executor = FlowExecutor.create(folder / "flow.dag.yaml", connections={"aoai": connection}, raise_ex=False)

    def line(numbered: tuple[int, dict[str, Any]]) -> Any:
        index, inputs = numbered
        return executor.exec_line(inputs, index=index, run_id="run")

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(line, enumerate(run["lines"])))
    metrics: dict[str, float] = {}
    if executor.has_aggregation_node:
        inputs = {name: [line[name] for line in run["lines"]] for name in run["lines"][0]}
        nodes = {
            name: [result.aggregation_inputs[name] for result in results] for name in results[0].aggregation_inputs
        }
        metrics = executor.exec_aggregation(inputs, nodes, run_id="run").metrics
    lines = [
        {
            "status": result.run_info.status.value,
            "outputs": result.output,
            "error": (result.run_info.error or {}).get("message", ""),
            "tokens": (result.run_info.system_metrics or {}).get("total_tokens", 0),
        }
        for result in results
    ]
    return {"lines": lines, "metrics": metrics}


def _choose(dag: dict[str, Any], variants: dict[str, str], parameters: dict[str, Any]) -> None:
    """Put the chosen variant in each node's place, and the parameters on top of it."""
    for node in dag["nodes"]:
        if node.pop("use_variants", False):
            choices = dag["node_variants"][node["name"]]
            node.update(choices["variants"][variants.get(node["name"], choices["default_variant_id"])]["node"])
    dag.pop("node_variants", None)
    for key, value in parameters.items():
        name, _, field = key.partition(".")
        next(node for node in dag["nodes"] if node["name"] == name)["inputs"][field] = value


if __name__ == "__main__":
    main()
