"""The keys of a prompty's front matter: those that prompt flow passes over, and those that it breaks at.

Front matter may hold whatever an author likes beside prompt flow's keys, so that there only a near miss is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from shared.use_case.block import Block
from shared.use_case.problems import one_of
from shared.use_case.tools import MODEL_INPUTS

_TOP: Final = ("name", "description", "model", "inputs", "outputs", "sample", "template", "tags", "version", "authors")
_MODEL: Final = ("api", "configuration", "parameters", "response")
_CONFIGURATION: Final = (
    *("type", "connection", "azure_deployment", "azure_endpoint", "api_version", "api_key", "model", "base_url"),
    *("organization", "api_base", "api_type", "auth_mode", "resource_id", "token_provider", "name"),
)
_PARAMETERS: Final = MODEL_INPUTS | {
    *("stream", "stream_options", "timeout", "extra_headers", "extra_body", "extra_query", "parallel_tool_calls"),
    *("reasoning_effort", "service_tier", "store", "metadata", "modalities", "prediction", "audio", "verbosity"),
}
_TYPES: Final = ("azure_openai", "openai", "AzureOpenAI", "OpenAI")
_APIS: Final = ("chat", "completion")
_INPUT_TYPES: Final = ("string", "int", "double", "bool", "list", "object", "image")
MODELS: Final = ("azure_deployment", "model")
"""Keys of the configuration that name the model."""


def check_prompty_keys(top: Block) -> None:
    """Note every key and every word of the front matter that prompt flow does not know."""
    for key in top.value:
        if key not in _TOP and (close := difflib.get_close_matches(key, _TOP, n=1, cutoff=0.75)):
            top.warn(f"{key!r} is passed over; did you mean {close[0]!r}?", key)
    model = top.child("model")
    for key in model.value if isinstance(model.value, dict) else ():
        if key not in _MODEL:
            model.problem(f"{one_of(key, _MODEL, 'key of `model`')}; prompt flow takes no other", key)
    _word(model, "api", _APIS)
    configuration, parameters = _mapping(model, "configuration"), _mapping(model, "parameters")
    if configuration is not None:
        _keys(configuration, _CONFIGURATION, "key of the configuration")
        _word(configuration, "type", _TYPES)
        _names(configuration)
    if parameters is not None:
        _keys(parameters, _PARAMETERS, "parameter of a model")
    for entry in inputs.entries() if (inputs := _mapping(top, "inputs")) is not None else ():
        _word(entry, "type", _INPUT_TYPES)


def _mapping(block: Block, key: str) -> Block | None:
    """What is under a key; that it is a mapping is for the prompty's reader to say."""
    inside = block.child(key) if key in block else None
    return inside if inside is not None and isinstance(inside.value, dict) else None


def _keys(block: Block, known: Iterable[str], what: str) -> None:
    for key in block.value:
        if key not in known and not block.problems.warned_enough:
            block.warn(one_of(key, known, what), key)


def _word(block: Block, key: str, known: Iterable[str]) -> None:
    written = block.value.get(key) if isinstance(block.value, dict) else None
    if written is not None and written not in known and not str(written).startswith("${"):
        block.warn(one_of(written, known, key), key)


def _names(configuration: Block) -> None:
    for key in (*MODELS, "connection"):
        value = configuration.value.get(key)
        if value is not None and not isinstance(value, str):
            configuration.problem(f"is {str(value)[:80]!r}; expected a name", key)
