"""Conditional registration: datasets and the chosen flow become versions only where their content is new.

An asset is named by what it is (`<use case>.<dataset>`, or the use case for its flow) and known by its content hash.
Its tags are its lineage: the chain and commit that registered it, and, for a flow, the bundle, metrics and evidence of
the last chain that came to the same content, so that what is configured and measured around it stays current.
"""

from __future__ import annotations

import json
from typing import Final

from shared import chain_store
from shared.answers import answer_to
from shared.assets import AssetRef
from shared.chain.messages import DataRegistered, FlowRegistered, RegisterData, RegisterFlow
from shared.chain.state import Chain
from shared.digests import json_digest
from shared.errors import BusinessFailure, NotFound
from shared.evaluation.metrics import metrics_by_dataset
from shared.experimentation.matrix import Cell, PreparedChain
from shared.names import checked_asset
from shared.ports import Asset, AssetKind, NewAsset, Ports

VARIANTS: Final = "variants"
PARAMETERS: Final = "parameters"
METRICS: Final = "metrics"
BUNDLE: Final = "bundle"
FLOW_DIGEST: Final = "flow_digest"
LABEL: Final = "label"
ORIGIN: Final = "chain"
EVIDENCE: Final = "evidence"
EVIDENCE_CHAIN: Final = "evidence_chain"
DATASETS: Final = "datasets"
COMMIT: Final = "commit"
BRANCH: Final = "branch"


def data_asset_name(use_case: str, dataset: str) -> str:
    """The data asset of a use case's dataset."""
    return checked_asset(f"{use_case}.{dataset}", "the data asset")


def register_data(ports: Ports, chain: Chain, command: RegisterData) -> DataRegistered:
    """Register the chain's datasets, or only the uploaded one."""
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    uploaded = chain.request.dataset
    assets, created = [], []
    for dataset in prepared.datasets:
        if uploaded is not None and dataset.name != uploaded.name:
            continue
        asset, is_new = ports.registry.register(
            NewAsset(
                kind=AssetKind.DATA,
                name=data_asset_name(prepared.use_case, dataset.name),
                content_hash=dataset.content_hash,
                blob=f"{dataset.container}/{dataset.blob}",
                description=dataset.description,
                tags=_lineage(chain) | {"source": dataset.source, "rows": str(dataset.rows)},
            )
        )
        assets.append(_ref(asset))
        if is_new or asset.tags.get(ORIGIN) == chain.id:  # a redelivery finds what its first delivery registered
            created.append(_ref(asset))
    return DataRegistered(**answer_to(ports, command), assets=tuple(assets), created=tuple(created))


def register_flow(ports: Ports, chain: Chain, command: RegisterFlow) -> FlowRegistered:
    """Register the candidate as a model. Raises BusinessFailure where there is no candidate."""
    if chain.candidate is None:
        raise BusinessFailure("There is no candidate to register: no variant has complete runs.")
    prepared = chain_store.read_prepared(ports.blobs, chain.id)
    cell = prepared.cells[chain.candidate.cell]
    measured = _measured(ports, chain, prepared, cell)
    asset, is_new = ports.registry.register(
        NewAsset(
            kind=AssetKind.MODEL,
            name=prepared.use_case,
            content_hash=_flow_hash(prepared, cell),
            blob=f"bundles/{prepared.bundle}.zip",
            description=f"{prepared.use_case}, {cell.label}",
            tags=_lineage(chain)
            | measured
            | {
                FLOW_DIGEST: prepared.flow_digest,
                LABEL: cell.label,
                VARIANTS: json.dumps(dict(cell.variants), sort_keys=True),
                PARAMETERS: json.dumps(dict(cell.parameters), sort_keys=True),
            },
        )
    )
    if not is_new:
        asset = ports.registry.tag(AssetKind.MODEL, asset.name, asset.version, measured)
    created = is_new or asset.tags.get(ORIGIN) == chain.id
    return FlowRegistered(**answer_to(ports, command), flow=_ref(asset), created=created)


def registered_flow(ports: Ports, use_case: str, version: str | None = None) -> Asset | None:
    """The registered flow of that version, or the latest; None if there is none."""
    try:
        return ports.registry.get(AssetKind.MODEL, use_case, version)
    except NotFound:
        return None


def _measured(ports: Ports, chain: Chain, prepared: PreparedChain, cell: Cell) -> dict[str, str]:
    """The tags that the last chain which came to this content sets."""
    return {
        BUNDLE: prepared.bundle,
        METRICS: json.dumps(metrics_by_dataset(ports.blobs, chain.id, prepared, cell.label), sort_keys=True),
        EVIDENCE: chain.evidence or "",
        EVIDENCE_CHAIN: chain.id,
        DATASETS: json.dumps({d.name: d.content_hash for d in prepared.datasets}, sort_keys=True),
        "models": json.dumps(list(prepared.models)),
    }


def _flow_hash(prepared: PreparedChain, cell: Cell) -> str:
    """What makes a registered flow the same: its files, and the variants and parameters that it runs with."""
    return json_digest({"flow": prepared.flow_digest, VARIANTS: dict(cell.variants), PARAMETERS: dict(cell.parameters)})


def _lineage(chain: Chain) -> dict[str, str]:
    request = chain.request
    known = {
        ORIGIN: chain.id,
        COMMIT: request.commit,
        BRANCH: request.branch,
        "build": request.build_id,
        "requester": request.requester,
    }
    return {key: value for key, value in known.items() if value}


def _ref(asset: Asset) -> AssetRef:
    return AssetRef(name=asset.name, version=asset.version)
