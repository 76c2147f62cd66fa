"""What a deployment would make: every resource with its properties worked out, from a file and its parameters.

Loops, conditions, modules and functions are followed as Azure Resource Manager follows them. What only a running
resource knows (its address, its identity's ids) is made up in the service's own form, so that settings can be read by
the code that will read them. A name that leads nowhere, a parameter too many or too few, is a BicepError.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.infra import syntax
from tests.infra.syntax import Array, BicepError, Call, Child, Get, Loop, Name, Object, Operation, Text, Value

SUBSCRIPTION: Final = "00000000-1111-2222-3333-444444444444"
GROUP: Final = "rg-genaiops"
GROUP_ID: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
_KINDS: Final = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}


@dataclass(frozen=True)
class Made:
    """One resource of a deployment."""

    type: str
    api: str
    name: str
    """With its parents': `<namespace>/<queue>`."""
    file: str
    symbol: str
    body: Mapping[str, Any]
    scope: str
    """Id of what an extension resource (a role assignment) is on; else the resource group's."""
    existing: bool = False
    children: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """As Azure Resource Manager writes it."""
        provider, *types = self.type.split("/")
        parts = [part for pair in zip(types, self.name.split("/"), strict=True) for part in pair]
        return f"{self.scope}/providers/{provider}/{'/'.join(parts)}"

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.body.get("properties", {})


@dataclass
class Deployment:
    """All that a deployment makes, and what it answers."""

    made: list[Made] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Made]:
        """The resources of a type."""
        return [one for one in self.made if one.type == kind]


def expand(path: Path, parameters: Mapping[str, Any]) -> Deployment:
    """Work out what deploying `path` makes. Raises BicepError."""
    deployment = Deployment()
    scope = _Scope(syntax.read(path), parameters, deployment)
    scope.all()
    deployment.outputs = scope.outputs()
    return deployment


def parameters_of(path: Path) -> dict[str, Any]:
    """What a file of parameters gives. Raises BicepError."""
    scope = _Scope(syntax.read(path), {}, Deployment())
    scope.all()
    return scope.values()


@dataclass(frozen=True)
class _Answers:
    """Outputs of a module that is deployed."""

    of: Mapping[str, Any]


class _Scope:
    """One file with its parameters."""

    def __init__(self, file: syntax.File, given: Mapping[str, Any], deployment: Deployment) -> None:
        self._file, self._deployment = file, deployment
        self._known: dict[str, Any] = {}
        self._under_way: list[str] = []
        unknown = set(given) - set(file.params)
        if unknown:
            self._fail(f"there is no parameter {', '.join(sorted(unknown))}")
        for param in file.params.values():
            if param.name not in given and param.default is None:
                self._fail(f"the parameter {param.name} is missing")
            value = given[param.name] if param.name in given else self._value(param.default, {})
            self._check(param, value)
            self._known[param.name] = value

    def all(self) -> None:
        for name in (*self._file.variables, *self._file.resources, *self._file.modules):
            self._symbol(name)

    def values(self) -> dict[str, Any]:
        return {name: self._known[name] for name in self._file.variables}

    def outputs(self) -> dict[str, Any]:
        made = {}
        for name, (kind, expression) in self._file.outputs.items():
            made[name] = self._value(expression, {})
            if not isinstance(made[name], _KINDS[kind]):
                self._fail(f"the output {name} is no {kind} but {made[name]!r}")
        return made

    def _check(self, param: syntax.Param, value: Any) -> None:
        kind = _KINDS[param.type]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self._fail(f"the parameter {param.name} is {value!r}, not of the type {param.type}")
        for name, arguments in param.decorators.items():
            (limit,) = [self._value(argument, {}) for argument in arguments] or [None]
            size = len(value) if isinstance(value, (str, list)) else value
            if (
                (name == "allowed" and value not in limit)
                or (name in ("minValue", "minLength") and size < limit)
                or (name in ("maxValue", "maxLength") and size > limit)
            ):
                self._fail(f"the parameter {param.name} is {value!r}; @{name} says {limit!r}")

    def _symbol(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        if name in self._under_way:
            self._fail(f"{name} needs itself: {' → '.join([*self._under_way, name])}")
        self._under_way.append(name)
        try:
            if name in self._file.variables:
                made = self._value(self._file.variables[name], {})
            elif name in self._file.resources:
                made = self._resource(self._file.resources[name], None)
            elif name in self._file.modules:
                made = self._module(self._file.modules[name])
            else:
                self._fail(f"there is nothing of the name {name}")
        finally:
            self._under_way.pop()
        self._known[name] = made
        return made

    def _module(self, module: syntax.Module) -> Any:
        if module.condition is not None and not self._value(module.condition, {}):
            return None
        extra = {key.parts[0] for key, _ in module.body.pairs} - {"name", "params", "dependsOn"}
        if extra:
            self._fail(f"the module {module.symbol} has {sorted(extra)}, which is not known here")
        body = self._value(module.body, {})
        path = (self._file.path.parent / module.path).resolve()
        if not path.is_file():
            self._fail(f"the module {module.symbol} is at {module.path}, where nothing is")
        scope = _Scope(syntax.read(path), body.get("params", {}), self._deployment)
        scope.all()
        return _Answers(scope.outputs())

    def _resource(self, resource: syntax.Resource, parent: Made | None, local: Mapping[str, Any] | None = None) -> Any:
        local = local or {}
        if resource.condition is not None and not self._value(resource.condition, local):
            return None
        if isinstance(resource.body, Loop):
            return [
                self._one(resource, resource.body.body, parent, {**local, **turn})
                for turn in self._turns(resource.body, local)
            ]
        return self._one(resource, resource.body, parent, local)

    def _one(self, resource: syntax.Resource, body: Object, parent: Made | None, local: Mapping[str, Any]) -> Made:
        values = self._value(body, local)
        parent = values.pop("parent", parent)
        scope = values.pop("scope", None)
        kind = resource.type if parent is None or "/" in resource.type else f"{parent.type}/{resource.type}"
        if parent is not None and kind.rpartition("/")[0] != parent.type:
            self._fail(f"{resource.symbol} is a {kind}, and its parent a {parent.type}")
        values.pop("dependsOn", None)
        name = str(values["name"]) if parent is None else f"{parent.name}/{values['name']}"
        above = scope.id if isinstance(scope, Made) else GROUP_ID
        made = Made(kind, resource.api, name, self._file.path.name, resource.symbol, values, above, resource.existing)
        for child in body.children:
            made.children[child.symbol] = self._resource(child, made, local)
        if not resource.existing:
            self._deployment.made.append(made)
        return made

    def _turns(self, loop: Loop, local: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        over = self._value(loop.over, local)
        if not isinstance(over, list):
            self._fail(f"a loop goes over {over!r}, which is no array")
        for index, item in enumerate(over):
            yield {loop.item: item, **({loop.index: index} if loop.index else {})}

    def _value(self, expression: Any, local: Mapping[str, Any]) -> Any:
        match expression:
            case Value(value):
                return value
            case Text(parts):
                return "".join(part if isinstance(part, str) else self._text(part, local) for part in parts)
            case Name(name):
                return local[name] if name in local else self._symbol(name)
            case Array(items):
                return [self._value(item, local) for item in items]
            case Object(pairs):
                return {self._value(key, local): self._value(value, local) for key, value in pairs}
            case Loop():
                return [self._value(expression.body, {**local, **turn}) for turn in self._turns(expression, local)]
            case Operation(operator, operands):
                return self._operation(operator, operands, local)
            case Get(of, key):
                return self._get(self._value(of, local), self._value(key, local))
            case Child(of, name):
                return self._value(of, local).children[name]
            case Call(name, arguments):
                return self._call(name, [self._value(argument, local) for argument in arguments])
        return self._fail(f"{expression!r} is not known here")

    def _text(self, expression: Any, local: Mapping[str, Any]) -> str:
        value = self._value(expression, local)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            self._fail(f"{value!r} is put into a text")
        return str(value)

    def _operation(self, operator: str, operands: tuple[Any, ...], local: Mapping[str, Any]) -> Any:
        first = self._value(operands[0], local)
        match operator:
            case "?":
                return self._value(operands[1 if self._yes(first) else 2], local)
            case "!":
                return not self._yes(first)
            case "&&":
                return self._yes(first) and self._yes(self._value(operands[1], local))
            case "||":
                return self._yes(first) or self._yes(self._value(operands[1], local))
            case "-" if len(operands) == 1:
                return -first
        second = self._value(operands[1], local)
        match operator:
            case "==":
                return first == second
            case "!=":
                return first != second
            case ">":
                return first > second
            case "*":
                return first * second
        return self._fail(f"the operator {operator} is not known here")

    def _yes(self, value: Any) -> bool:
        if not isinstance(value, bool):
            self._fail(f"{value!r} is asked for true or false")
        return bool(value)

    def _get(self, of: Any, key: Any) -> Any:
        match of:
            case Made():
                return of_running(of, key)
            case _Answers(of=outputs) if key == "outputs":
                return outputs
            case list() if isinstance(key, int) and key < len(of):
                return of[key]
            case dict() if key in of:
                return of[key]
        return self._fail(f"there is no {key!r} in {of if not isinstance(of, dict) else sorted(of)!r}")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        match name, arguments:
            case "loadJsonContent", [path]:
                return json.loads((self._file.path.parent / path).read_text(encoding="utf-8"))
            case "resourceGroup", []:
                return {"id": GROUP_ID, "name": GROUP, "location": "westeurope"}
            case "subscription", []:
                return {"subscriptionId": SUBSCRIPTION, "tenantId": _guid("tenant")}
            case "environment", []:
                return {
                    "suffixes": {"storage": "core.windows.net"},
                    "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
                    "resourceManager": "https://management.azure.com/",
                }
            case (("guid" | "uniqueString"), _):
                identifier = _guid("|".join(map(str, arguments)))
                return identifier if name == "guid" else identifier.replace("-", "")[:13]
            case (("subscriptionResourceId" | "resourceId"), [kind, identifier]):
                above = GROUP_ID if name == "resourceId" else f"/subscriptions/{SUBSCRIPTION}"
                return f"{above}/providers/{kind}/{identifier}"
            case "listKeys", [_, _]:
                return {"systemKeys": {"blobs_extension": "KEY"}}
            case "union", _:
                return {key: value for one in arguments for key, value in one.items()}
            case "concat", _:
                return [item for one in arguments for item in one]
            case "items", [of]:
                return [{"key": key, "value": of[key]} for key in sorted(of)]
            case "contains", [of, item]:
                return item in of
            case "empty", [of]:
                return of is None or len(of) == 0
            case "join", [of, between]:
                return between.join(of)
            case "replace", [of, old, new]:
                return of.replace(old, new)
            case "split", [of, between]:
                return of.split(between)
            case "string", [of]:
                return str(of)
        return self._fail(f"{name} with {len(arguments)} arguments is not known here")

    def _fail(self, what: str) -> Any:
        raise BicepError(f"{self._file.path.name}: {what}")


def _guid(of: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, of))


def of_running(of: Made, key: str) -> Any:
    name = of.name.rpartition("/")[2]
    match key:
        case "id" | "name":
            return of.id if key == "id" else name
        case "identity":
            return {"principalId": _guid(of.id)}
        case "properties":
            return _OF_RUNNING[of.type](name)
    raise BicepError(f"{of.file}: {of.symbol} is asked for {key!r}")


_OF_RUNNING: Final[dict[str, Any]] = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": lambda name: {
        "clientId": _guid(f"client {name}"),
        "principalId": _guid(f"principal {name}"),
    },
    "Microsoft.Storage/storageAccounts": lambda name: {
        "primaryEndpoints": {kind: f"https://{name}.{kind}.core.windows.net/" for kind in ("blob", "queue")}
    },
    "Microsoft.ServiceBus/namespaces": lambda name: {
        "serviceBusEndpoint": f"https://{name}.servicebus.windows.net:443/"
    },
    "Microsoft.KeyVault/vaults": lambda name: {"vaultUri": f"https://{name}.vault.azure.net/"},
    "Microsoft.ContainerRegistry/registries": lambda name: {"loginServer": f"{name}.azurecr.io"},
    "Microsoft.Insights/components": lambda name: {
        "ConnectionString": f"InstrumentationKey={_guid(name)};IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/"
    },
    "Microsoft.CognitiveServices/accounts": lambda name: {"endpoint": f"https://{name}.openai.azure.com/"},
    "Microsoft.Communication/communicationServices": lambda name: {
        "hostName": f"{name}.europe.communication.azure.com"
    },
    "Microsoft.Communication/emailServices/domains": lambda name: {"fromSenderDomain": f"{_guid(name)}.azurecomm.net"},
    "Microsoft.Web/sites": lambda name: {"defaultHostName": f"{name}.azurewebsites.net"},
}
"""What a running resource answers, by its type: the part of its properties that infra/ asks for."""
