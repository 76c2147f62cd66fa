"""References that Azure ML fills in reach a container under the very variables from which it resolves its connections."""

from __future__ import annotations

import pytest

from shared.adapters.azure.endpoints.connection_references import described, references
from shared.connections import resolve
from shared.use_case.model import ConnectionSpec

SPECS = {
    "azure openai": ConnectionSpec(
        "aoai", "AzureOpenAIConnection", {"api_base": "${api_base}", "api_key": "${api_key}"}
    ),
    "with a version": ConnectionSpec(
        "aoai", "AzureOpenAIConnection", {"api_version": "${version}", "api_key": "<key>"}
    ),
    "name of another value": ConnectionSpec("my-search", "CognitiveSearchConnection", {"api_endpoint": "${endpoint}"}),
    "openai": ConnectionSpec("open.ai", "OpenAIConnection", {"organization": "${organization}"}),
    "serp": ConnectionSpec("serp", "SerpConnection"),
    "custom": ConnectionSpec("own", "CustomConnection", configs={"index": "${index}"}, secrets={"token": "${token}"}),
    "a name alone": ConnectionSpec("plain"),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_container_resolves_each_connection_from_the_variables_that_are_referenced(spec: ConnectionSpec) -> None:
    given = references([spec])
    filled_in = {
        name: "https://service.example" if written.endswith("/target}}") else "value" for name, written in given.items()
    }
    found = resolve(described([spec]), environment=filled_in, env_file=None, stand_in_url=None)
    assert list(found) == [spec.name]
    assert all(written.startswith(f"${{{{azureml://connections/{spec.name}/") for written in given.values())


def test_what_is_written_out_in_experiment_yaml_needs_no_reference() -> None:
    spec = ConnectionSpec("aoai", "AzureOpenAIConnection", {"api_base": "https://a.example", "api_key": "${api_key}"})
    assert references([spec]) == {"AOAI_API_KEY": "${{azureml://connections/aoai/credentials/key}}"}
