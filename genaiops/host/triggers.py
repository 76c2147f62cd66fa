"""The triggers of a FunctionApp, read from the same binding documents that the Azure Functions host gets.

A trigger that the embedded host cannot serve as Azure would is refused at the start, by name, instead of being served
differently.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import azure.functions as func

from genaiops.host.errors import HostError

DEAD_LETTERS: Final = "/$deadletterqueue"


@dataclass(frozen=True)
class Trigger:
    """One function and the parameter that its trigger fills."""

    name: str
    function: Callable[..., object]
    argument: str
    wants_context: bool

    @property
    def annotation(self) -> str:
        """The last word of the parameter's annotation, without evaluating it: that could import an SDK."""
        annotation = self.function.__annotations__.get(self.argument, "")
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        return text.rpartition(".")[2]


@dataclass(frozen=True)
class QueueTrigger(Trigger):
    """A Service Bus queue, or with `/$deadletterqueue` its dead-letter queue."""

    queue: str
    sessions: bool


@dataclass(frozen=True)
class BlobTrigger(Trigger):
    """Blobs of one container whose names match."""

    container: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class TimerTrigger(Trigger):
    """An NCRONTAB schedule."""

    schedule: str
    run_on_startup: bool
    monitored: bool


@dataclass(frozen=True)
class HttpTrigger(Trigger):
    """A route; `methods` empty means every method. `auth_level` is `anonymous`, `function` or `admin`."""

    route: str
    methods: frozenset[str]
    auth_level: str


AnyTrigger = QueueTrigger | BlobTrigger | TimerTrigger | HttpTrigger


def read_triggers(app: func.FunctionApp, settings: Mapping[str, str]) -> list[AnyTrigger]:
    """Read every function of the app; `%NAME%` in bindings is replaced from `settings`.

    Raises:
        HostError: naming the function and what about its bindings cannot be served.
    """
    # get_functions may be called once in the life of an app: a second call raises.
    return [_read(function, settings) for function in app.get_functions()]


def _read(function: Any, settings: Mapping[str, str]) -> AnyTrigger:
    name: str = function.get_function_name()
    user_function = function.get_user_function()
    trigger: dict[str, Any] | None = None
    for binding in function.get_dict_repr()["bindings"]:
        kind = str(binding["type"])
        if kind.endswith("Trigger"):
            trigger = binding
        elif kind != "http":
            raise HostError(
                f"The function {name} uses the binding {kind!r}, which the embedded host does not serve. "
                "Send and read through the ports in `shared/ports/` instead."
            )
    if trigger is None:
        raise HostError(f"The function {name} has no trigger. Give it one, or remove its registration.")

    def text(key: str, default: str = "") -> str:
        return _resolved(str(trigger.get(key, default)), name, settings)

    common: dict[str, Any] = {
        "name": name,
        "function": user_function,
        "argument": trigger["name"],
        "wants_context": "context" in inspect.signature(user_function).parameters and trigger["name"] != "context",
    }
    match trigger["type"]:
        case "serviceBusTrigger":
            if str(_plain(trigger.get("cardinality", "one"))).lower() == "many" or "queueName" not in trigger:
                raise HostError(
                    f"The function {name} takes batches or a topic; only single messages of a queue are served."
                )
            return QueueTrigger(**common, queue=text("queueName"), sessions=bool(trigger.get("isSessionsEnabled")))
        case "blobTrigger":
            container, _, pattern = text("path").partition("/")
            return BlobTrigger(**common, container=container, pattern=_blob_pattern(pattern or "{name}"))
        case "timerTrigger":
            return TimerTrigger(
                **common,
                schedule=text("schedule"),
                run_on_startup=bool(trigger.get("runOnStartup")),
                monitored=bool(trigger.get("useMonitor", True)),
            )
        case "httpTrigger":
            return HttpTrigger(
                **common,
                route=text("route", name),
                methods=frozenset(str(_plain(method)).upper() for method in trigger.get("methods") or ()),
                auth_level=str(_plain(trigger.get("authLevel", "function"))).lower(),
            )
        case kind:
            raise HostError(f"The function {name} has the trigger {kind!r}; queue, blob, timer and HTTP are served.")


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _resolved(value: str, name: str, settings: Mapping[str, str]) -> str:
    def setting(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise HostError(f"The function {name} names the app setting {found[1]}, which is not set. Set it.")
        return settings[found[1]]

    return re.sub(r"%([A-Za-z_][A-Za-z0-9_]*)%", setting, value)


def _blob_pattern(path: str) -> re.Pattern[str]:
    """`{name}` stands for any text, slashes included, as in Azure."""
    parts = re.split(r"\{([A-Za-z_]\w*)\}", path)
    return re.compile("".join(f"(?P<{part}>.+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
