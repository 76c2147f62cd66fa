"""The engine for prompties: prompt flow's own `Prompty`, with model settings put into the model that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.adapters.local.engines.contract import Aggregation, FlowError, FlowSource, LineResult
from shared.adapters.local.engines.kinds import mentioned, read_flow_file
from shared.adapters.local.engines.parameters import Split
from shared.adapters.local.engines.promptflow_dag import promptflow_version
from shared.adapters.local.engines.results import as_outputs, call
from shared.adapters.local.engines.signature import Signature, declared_signature

_DEPLOYMENTS: Final = ("deployment_name", "model")


class PromptyEngine:
    """A `.prompty` file."""

    def __init__(self, source: FlowSource) -> None:
        self._source = source
        self._content = read_flow_file(source.folder, source.flow_file)

    @property
    def name(self) -> str:
        """As `Engine`."""
        return promptflow_version()

    def executable(self, variants: Mapping[str, str], parameters: Mapping[str, Any]) -> PromptyExecutable:
        """As `Engine`."""
        from promptflow.core import Prompty

        source = self._source
        split = Split.of(parameters, variants, source.flow_file)
        split.refuse_init()
        prompty = Prompty.load(source=source.folder / source.flow_file, model=self._model(split.settings))
        declared = prompty._get_input_signature()  # noqa: SLF001  # with the inputs of a sample, where none are declared
        return PromptyExecutable(
            prompty,
            declared_signature(declared, split.inputs),
            mentioned(source.folder, list(source.connections)),
        )

    def _model(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What is laid over the prompty's block `model`."""
        written = (self._content.get("model") or {}).get("configuration")
        configuration = written if isinstance(written, Mapping) else {}
        is_openai = str(configuration.get("type", "")).lower() in ("openai", "open_ai") or "model" in configuration
        name = "model" if is_openai else "azure_deployment"
        named = {}
        for key in settings.keys() & set(_DEPLOYMENTS):
            named[name] = settings[key]
        others = {key: value for key, value in settings.items() if key not in _DEPLOYMENTS}
        return {**({"configuration": named} if named else {}), **({"parameters": others} if others else {})}


class PromptyExecutable:
    """A loaded prompty."""

    aggregates: Final = False

    def __init__(self, prompty: Any, signature: Signature, connections: Sequence[str]) -> None:
        self._prompty = prompty
        self._signature = signature
        self.connections = connections

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:  # noqa: ARG002  # as Executable
        """As `Executable`."""
        return LineResult(as_outputs(call(self._prompty, self._signature.bound(inputs))))

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:  # noqa: ARG002  # as Executable
        """As `Executable`: a prompty has none."""
        raise FlowError("A prompty has no aggregation.")
