"""docs/reference/roles.md as data: who has which role on what, in the short names of `world.role_assignments`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.infra.world import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "roles.md"
APP: Final = "the app"
WHO: Final = {
    APP: "id-app",
    "Event Grid's system topic of the workspace": "evgt-runs",
    "the identity of served flows (App Service)": "id-served-flows",
    "the workspace's identity, where it is a user-assigned one": "id-ml",
    "the same": "id-ml",
    "a person who submits, watches and approves by the command line": "operators",
    "the same person, for `plan`, `assets` and `validate` with data assets": "operators",
    "a pipeline's identity (the service connection)": "id-pipelines",
    "the same, with `submit --azure --send --wait`": "id-pipelines",
}
NOT_OURS: Final = {
    "a user-assigned identity of an online endpoint": "made by whoever names it in a use case",
    "the identity of an online endpoint": "made with the endpoint",
    "a cluster's kubelet identity": "the cluster is not made here",
    "a person who runs the functions on their machine (`start`)": "no installation needs it",
    "who uploads datasets": "given by whoever operates it, to whom they choose",
}
"""Rows that infra/ gives nothing for, and why."""
NOT_OURS_OF_APP: Final = {"the namespace in the cluster": "the cluster is not made here"}
PLACES: Final = {
    "the namespace": ("sb",),
    "the queue `run-events`": ("sb/run-events",),
    "the queue `chain-requests`": ("sb/chain-requests",),
    "the storage account": ("stdata",),
    "the storage account of the product": ("stdata",),
    "the same account": ("stdata",),
    "the container `bundles`": ("stdata/default/bundles",),
    "the container `chains`": ("stdata/default/chains",),
    "the account of `AzureWebJobsStorage`": ("sthost",),
    "the workspace": ("mlw",),
    "the workspace's own storage account": ("stml",),
    "its storage account": ("stml",),
    "its vault": ("kvml",),
    "the workspace, its storage account, its vault, its registry and its Application Insights": (
        *("mlw", "stml", "kvml", "cr", "appi"),
    ),
    "Application Insights": ("appi",),
    "the Azure ML registry": ("mlr",),
    "the container registry": ("cr",),
    "the resource group": ("group",),
    "the resource group of the web app": ("group",),
    "the identity of served flows": ("id-served-flows",),
    "the key that `GENAIOPS_KEY_ENCRYPTION_KEY` names": ("kv/genaiops",),
    "the vault of the app's own settings": ("kv",),
    "the vault `GENAIOPS_KEY_VAULT`": ("kv",),
    "Communication Services": ("acs",),
    "Azure OpenAI": ("oai",),
}


def documented(page: Path = PAGE) -> set[tuple[str, str, str]]:
    """(who, role, on). Fails with the row that it cannot read."""
    found: set[tuple[str, str, str]] = set()
    for row in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        if len(cells) not in (3, 4) or cells[0] in ("role", "who") or set(cells[0]) <= {"-"}:
            continue
        who, roles, places = cells[:3] if len(cells) == 4 else (APP, *cells[:2])
        if who in NOT_OURS or (who == APP and places in NOT_OURS_OF_APP):
            continue
        pairs = list(zip(roles.split("; "), places.split("; "), strict=True))
        found |= {(WHO[who], role, on) for several, at in pairs for role in several.split(", ") for on in PLACES[at]}
    return found


def differences(given: set[tuple[str, str, str]], page: Path = PAGE) -> list[str]:
    """Where the page and infra/ disagree."""
    told = documented(page)
    missing = [f"{' / '.join(one)} is in roles.md, but infra/ does not give it" for one in told - given]
    return sorted(missing + [f"{' / '.join(one)} is given by infra/, but not in roles.md" for one in given - told])
