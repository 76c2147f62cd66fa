"""What the tests ask of infra/: its deployments, and where they differ from the code, as lists of sentences.

Each comparison takes the folder, so that a test can hand it a spoilt copy and see that the difference is found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from shared import claim_check, settings
from shared.adapters.queues import QueueConfig
from shared.chain.messages import Queue
from shared.telemetry.names import Attribute, Metric
from tests.infra.expansion import Deployment, Made, expand

ROOT: Final = Path(__file__).parents[2]
INFRA: Final = ROOT / "infra"
EVERYTHING: Final[dict[str, Any]] = {
    "environmentName": "all",
    "serviceBusSku": "Premium",
    "containerRegistrySku": "Premium",
    "alertMails": "ops@example.com,lead@example.com",
    "monthlyBudget": 100,
    "budgetStart": "2030-01-01",
    "azureDevOps": "https://dev.azure.com/contoso",
    "pipelineFederations": [{"name": "chains", "issuer": "https://login.example/v2.0", "subject": "/eid1/c/x"}],
    "operatorsGroupId": "22222222-2222-2222-2222-222222222222",
    "communication": True,
    "webhook": True,
    "signInClientId": "33333333-3333-3333-3333-333333333333",
    "openAi": True,
    "machineLearningRegistry": True,
    "webApps": True,
    "privateNetwork": True,
    "serviceBusAddresses": ["20.37.194.0/24"],
}
"""All options at once."""
PLATFORM: Final = {
    "AzureWebJobsStorage__accountName": "the Functions host's own storage",
    "AzureWebJobsStorage__credential": "by identity",
    "AzureWebJobsStorage__clientId": "whose",
    "ServiceBus__credential": "the triggers' connection ServiceBus, by identity",
    "ServiceBus__clientId": "whose",
    "Storage__queueServiceUri": "the blob trigger's own queues, beside Storage__blobServiceUri",
    "Storage__credential": "the trigger's connection Storage, by identity",
    "Storage__clientId": "whose",
    "AzureWebJobsDisableHomepage": "no page of the platform at the app's root",
    "PYTHON_THREADPOOL_THREAD_COUNT": "messages that one instance handles side by side",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID": "the identity that the app registration of the sign-in trusts",
}
"""App settings that the platform reads, and why they are set."""
LEFT_OUT: Final = {
    "GENAIOPS_HOME": "its default fits an instance in Azure",
    "GENAIOPS_ROOT": "the app's own folder",
    "GENAIOPS_ENV_FILE": "connections are the workspace's",
    "GENAIOPS_HTTP_PORT": "of the embedded host",
    "GENAIOPS_ROUTER_PORT": "of the embedded host",
    "GENAIOPS_STAND_IN_PORT": "of the embedded host",
    "GENAIOPS_BUS": "of the embedded host",
    "WEBSITE_HOSTNAME": "the platform sets it",
    "WEBSITE_AUTH_ENABLED": "the platform sets it",
    "ServiceBus": "read to refuse a key in it",
    "AzureWebJobsServiceBus": "read to refuse a key in it",
    "Storage": "read to refuse a key in it",
    "AzureWebJobsStorage": "read to refuse a key in it",
}
"""What the code reads and infra/ does not set, and why."""


def deployment(infra: Path = INFRA, **parameters: Any) -> Deployment:
    """What `main.bicep` makes."""
    return expand(infra / "main.bicep", {"environmentName": "dev", **parameters})


def everything(infra: Path = INFRA) -> Deployment:
    """… with all options."""
    return deployment(infra, **EVERYTHING)


def app_settings(of: Deployment) -> dict[str, str]:
    """App setting → value."""
    (made,) = (one for one in of.of("Microsoft.Web/sites/config") if one.name.endswith("/appsettings"))
    return dict(made.properties)


class Recording(dict[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


def as_the_app_sees_it(values: Mapping[str, str]) -> Recording:
    """The app's environment: the platform adds its name, and puts secrets in the place of references to Key Vault."""
    secrets = {"webhook-url": "https://prod.example/workflows/1", "smtp-password": "secret"}
    found = {
        name: next((text for secret, text in secrets.items() if f"SecretName={secret})" in value), value)
        for name, value in values.items()
    }
    return Recording({**found, "WEBSITE_HOSTNAME": "func.azurewebsites.net"})


def queue_differences(of: Deployment, names: Mapping[Queue, str] | None = None) -> list[str]:
    """Queues and their properties against the code."""
    names = names or {queue: queue.value for queue in Queue}
    found: list[str] = []
    queues = {one.body["name"]: one for one in of.of("Microsoft.ServiceBus/namespaces/queues")}
    values = app_settings(of)
    for queue, name in names.items():
        variable = settings.queue_variable(queue)
        if values.get(variable) != name:
            found.append(f"{variable} is {values.get(variable)!r} in infra/; the code's queue is {name!r}")
        if name not in queues:
            found.append(f"the queue {name} is not made by infra/")
            continue
        expected = QueueConfig(name, sessions=queue is Queue.CHAIN_EVENTS)
        found += [f"{name}: {text}" for text in _of_queue(queues[name].properties, expected)]
    found += [
        f"infra/ makes the queue {name}, which the code does not know" for name in set(queues) - set(names.values())
    ]
    deliveries = {one.properties["maxDeliveryCount"] for one in queues.values()}
    if deliveries != {int(values.get("GENAIOPS_MAX_DELIVERY_COUNT", "0"))}:
        found.append(f"GENAIOPS_MAX_DELIVERY_COUNT is not what the queues have: {deliveries}")
    return found


def _of_queue(made: Mapping[str, Any], expected: QueueConfig) -> Iterator[str]:
    exact = {
        "requiresSession": expected.sessions,
        "requiresDuplicateDetection": expected.duplicate_window_seconds > 0,
        "maxDeliveryCount": expected.max_delivery_count,
        "deadLetteringOnMessageExpiration": True,
        "enablePartitioning": False,
    }
    for name, value in exact.items():
        if made.get(name) != value:
            yield f"{name} is {made.get(name)!r}, not {value!r}"
    if duration(made["duplicateDetectionHistoryTimeWindow"]).total_seconds() != expected.duplicate_window_seconds:
        yield "the window of duplicate detection is not the code's"
    if not expected.lock_seconds <= duration(made["lockDuration"]).total_seconds() <= 300:  # Service Bus allows no more
        yield f"lockDuration is {made['lockDuration']}"
    if duration(made["defaultMessageTimeToLive"]) >= claim_check.KEPT:
        yield "messages may live longer than their bodies are kept"
    if {"forwardTo", "forwardDeadLetteredMessagesTo", "autoDeleteOnIdle"} & set(made):
        yield "its messages go elsewhere"


def duration(text: str) -> timedelta:
    """ISO 8601, as far as it is used."""
    match = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", text)
    assert match, text
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def setting_differences(of: Deployment) -> list[str]:
    """App settings against what the code reads, both ways."""
    values = app_settings(of)
    environment = as_the_app_sees_it(values)
    try:
        settings.read(environment)
    except settings.InvalidSettings as error:
        return [str(error)]
    found = [
        f"the code reads {name}, which infra/ does not set" for name in environment.asked - set(values) - set(LEFT_OUT)
    ]
    unread = set(values) - environment.asked - set(PLATFORM)
    found += [f"infra/ sets {name}, which neither code nor platform reads" for name in unread]
    found += [f"{name} is left out, but nothing reads it" for name in set(LEFT_OUT) - environment.asked]
    found += [f"{name} is the platform's, but is not set" for name in set(PLATFORM) - set(values)]
    return sorted(found)


def containers_in_code() -> set[str]:
    """Every name that a module calls its container."""
    names: set[str] = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = (
                node.target
                if isinstance(node, ast.AnnAssign)
                else node.targets[0]
                if isinstance(node, ast.Assign)
                else None
            )
            value = getattr(node, "value", None)
            if not (isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str)):
                continue
            if "CONTAINER" in target.id or target.id in ("DATASETS", "LOGS"):
                names.add(value.value)
    return names


def alert_differences(of: Deployment) -> list[str]:
    """The queries of alerts against what telemetry emits."""
    found: list[str] = []
    watched: set[str] = set()
    for rule in of.of("Microsoft.Insights/scheduledQueryRules"):
        query = rule.properties["criteria"]["allOf"][0]["query"]
        names = re.findall(r'name == "([^"]+)"', query)
        watched |= set(names)
        found += [
            f"{rule.body['name']} asks for {name}, which nothing emits" for name in names if name not in set(Metric)
        ]
        attributes = re.findall(r"customDimensions\.(\w+)", query)
        found += [
            f"{rule.body['name']} asks for the attribute {name}" for name in attributes if name not in set(Attribute)
        ]
        if rule.properties["criteria"]["allOf"][0]["metricMeasureColumn"] not in re.findall(r"summarize (\w+)", query):
            found.append(f"{rule.body['name']} measures a column that its query does not make")
    needed = {Metric.DEAD_LETTERS, Metric.OLDEST_STEP, Metric.RUNS, Metric.FAILURES}
    return found + [f"no alert watches {metric}" for metric in needed - watched]


def role_assignments(of: Deployment) -> set[tuple[str, str, str]]:
    """(who, role, on), in short names."""
    names = {identifier: role for role, identifier in ROLES.items()}
    who = _identities(of)
    found = set()
    for one in of.of("Microsoft.Authorization/roleAssignments"):
        role = one.properties["roleDefinitionId"].rpartition("/")[2]
        found.add((who[one.properties["principalId"]], names[role], place(one.scope)))
    return found


def _identities(of: Deployment) -> dict[str, str]:
    from tests.infra.expansion import of_running

    found = {EVERYTHING["operatorsGroupId"]: "operators"}
    for one in of.of("Microsoft.ManagedIdentity/userAssignedIdentities"):
        found[of_running(one, "properties")["principalId"]] = _short(one.body["name"])
    for one in of.of("Microsoft.EventGrid/systemTopics"):
        found[of_running(one, "identity")["principalId"]] = _short(one.body["name"])
    return found


def _short(name: str) -> str:
    """Without the token that makes it unique."""
    return re.sub(r"-?[0-9a-f]{13}$", "", name)


def place(identifier: str) -> str:
    """`sb/run-events` for the id of the queue."""
    kinds, _, names = identifier.partition("/providers/")
    del kinds
    parts = names.split("/")[2::2]
    return "/".join(_short(part) for part in parts) or "group"


ROLES: Final = {
    # https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Azure Machine Learning Workspace Connection Secrets Reader": "ea01e6af-a1c1-4350-9563-ad00f8c72ec5",
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "AzureML Registry User": "1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
    "Cognitive Services OpenAI User": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "Communication and Email Service Owner": "09976791-48a7-449e-bb21-39d1a415f350",
    "Container Registry Tasks Contributor": "fb382eab-e894-4461-af04-94435c366c3f",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Crypto User": "12338af0-0e69-4776-bea7-57ae8d297424",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Managed Identity Operator": "f1a07417-d97a-45cb-824c-7a7467783830",
    "Monitoring Contributor": "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Monitoring Reader": "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage File Data Privileged Contributor": "69566ab7-960f-475b-8e7c-b3118f30c6bd",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Website Contributor": "de139f84-1756-47ae-9be6-808fbbe84772",
}


def of_symbol(of: Deployment, file: str) -> list[Made]:
    """What a file made."""
    return [one for one in of.made if one.file == file]
