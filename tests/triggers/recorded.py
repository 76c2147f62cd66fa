"""Payloads as the Functions host sends them to the worker, decoded as the worker decodes them.

Each file under `payloads/` has the shape of the host's InvocationRequest in JSON: typed data by parameter, and typed
trigger metadata.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from azure.functions import get_binding_registry
from azure.functions.meta import Datum

PAYLOADS = Path(__file__).parent / "payloads"


def load(name: str) -> dict[str, Any]:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def datum(typed: dict[str, Any]) -> Datum:
    ((kind, value),) = typed.items()
    match kind:
        case "bytes":
            return Datum(base64.b64decode(value), "bytes")
        case "http":
            fields = {key: Datum(value[key], "string") for key in ("method", "url")}
            maps = {
                key: {n: Datum(v, "string") for n, v in value[key].items()} for key in ("headers", "params", "query")
            }
            return Datum(fields | maps | {"body": datum(value["body"])}, "http")
        case _:
            return Datum(value, kind)


def metadata(name: str) -> dict[str, Datum]:
    return {key: datum(value) for key, value in load(name)["trigger_metadata"].items()}


def decoded(name: str, binding: str) -> Any:
    (parameter,) = load(name)["input_data"]
    return get_binding_registry().get(binding).decode(datum(parameter["data"]), trigger_metadata=metadata(name))
