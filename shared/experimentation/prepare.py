"""Preparation: the use case is frozen as a bundle, validated, and its run matrix stored, before anything is run.

Request → bundle (the commit's, the registered version's, or the app's own folder, zipped) → unpacked → loaded → run
matrix and frozen datasets → `chains/<chain>/prepared.json` → ChainPrepared. Everything later reads only what is frozen.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from shared import chain_store, model_connections
from shared.answers import answer_to
from shared.assets import AssetRef
from shared.chain.approving import refuses_everybody
from shared.chain.messages import ApprovalTerms, ChainKind, ChainPrepared, DatasetUpload, PrepareChain
from shared.chain.plans import PLANS
from shared.chain.state import Chain, Step
from shared.datasets.uploads import DATASETS, LOGS
from shared.digests import json_digest
from shared.errors import BusinessFailure, Conflict, NotFound
from shared.experimentation import assembly, budget, frozen
from shared.experimentation.data_assets import fetch_asset
from shared.experimentation.matrix import PreparedChain
from shared.experimentation.supersede import supersede_older
from shared.experimentation.surroundings import Surroundings
from shared.ports import Asset, Ports
from shared.registration.register import BUNDLE, EVIDENCE, EVIDENCE_CHAIN, FLOW_DIGEST, registered_flow
from shared.use_case import bundle, opened
from shared.use_case.model import UseCase

REPORTS: Final = "reports"


def prepare(ports: Ports, chain: Chain, command: PrepareChain) -> ChainPrepared:
    """Prepare the chain.

    Raises:
        BusinessFailure: with every problem of the request, the use case or the dataset.
    """
    supersede_older(ports, chain)
    if chain.request.kind is ChainKind.CD:
        return _prepare_release(ports, chain, command)
    digest = _bundle(ports, chain)
    use_case = opened.open_use_case(ports, digest, chain.request.use_case, chain.request.environment)
    with tempfile.TemporaryDirectory(prefix="genaiops-") as scratch:
        preparation = _planned(ports, chain, use_case, digest, Path(scratch))
        for blob, path in preparation.freeze.items():
            _freeze(ports, blob, path)
    if not preparation.chain.cells:
        raise BusinessFailure(f"There is nothing to run: {use_case.name} has no dataset that this chain could use.")
    baseline = registered_flow(ports, use_case.name)
    planned = preparation.chain.model_copy(
        update={
            "notes": preparation.notes,
            "baseline": AssetRef(name=baseline.name, version=baseline.version) if baseline else None,
        }
    )
    prepared = chain_store.freeze_prepared(ports.blobs, chain.id, planned)
    return _answer(ports, chain, command, prepared, json_digest(prepared.model_dump(mode="json")))


def _prepare_release(ports: Ports, chain: Chain, command: PrepareChain) -> ChainPrepared:
    """Prepare a cd chain: what is deployed is a registered version, with the evidence that registered it."""
    request = chain.request
    asset = registered_flow(ports, request.use_case, request.flow_version)
    if asset is None:
        which = f"version {request.flow_version}" if request.flow_version else "version"
        raise BusinessFailure(f"There is no registered {which} of {request.use_case}: run a ci chain first.")
    digest = asset.tags[BUNDLE]
    use_case = opened.open_use_case(ports, digest, request.use_case, request.environment)
    if use_case.deployment is None:
        raise BusinessFailure(f"{request.use_case} cannot be deployed: experiment.yaml has no block `deployment`.")
    planned = PreparedChain(
        use_case=use_case.name,
        environment=request.environment,
        bundle=digest,
        flow_digest=asset.tags[FLOW_DIGEST],
        datasets=(),
        cells=(),
        evaluators=(),
        models=tuple(c.shown for c in model_connections.planned(ports.settings, use_case.connections).values()),
        flow=AssetRef(name=asset.name, version=asset.version),
    )
    prepared = chain_store.freeze_prepared(ports.blobs, chain.id, planned)
    return _answer(ports, chain, command, prepared, _take_over_report(ports, chain, asset))


def _answer(ports: Ports, chain: Chain, command: PrepareChain, prepared: PreparedChain, evidence: str) -> ChainPrepared:
    """The answer follows from what is frozen, whoever froze it."""
    use_case = opened.open_use_case(ports, prepared.bundle, prepared.use_case, prepared.environment)
    release = chain.request.kind is ChainKind.CD
    deploys = release or (use_case.deployment is not None and use_case.deployment.after_ci)
    asks = deploys and Step.APPROVAL in PLANS[chain.request.kind]
    return ChainPrepared(
        **answer_to(ports, command),
        bundle=prepared.bundle,
        cells=len(prepared.cells),
        cells_in_flight=ports.settings.cells_in_flight,
        has_gates=bool(use_case.gates.checks) and not release,
        deploys=deploys,
        approval=_terms(ports, chain, use_case, asks=asks),
        evidence=evidence,
        notes=prepared.notes,
        flow=prepared.flow,
    )


def _bundle(ports: Ports, chain: Chain) -> str:
    """Digest of the bundle that holds the chain's code."""
    request = chain.request
    if request.bundle is not None:
        return request.bundle
    if request.kind in (ChainKind.DATASET, ChainKind.POST_PRODUCTION):  # data that is new meets the flow that is in use
        asset = registered_flow(ports, request.use_case)
        if asset is not None:
            return asset.tags[BUNDLE]
    folder = ports.settings.flows / request.use_case
    if not folder.is_dir():
        known = sorted(path.name for path in ports.settings.flows.glob("*") if path.is_dir())
        raise BusinessFailure(
            f"There is no use case {request.use_case!r}: the request names no bundle, and flows/ holds "
            f"{', '.join(known) or 'none'}. Correct `use_case`, or publish the use case as a bundle."
        )
    made = bundle.make(folder, ports.settings.data)
    _put(ports, opened.bundle_blob(made.digest), made.content)
    return made.digest


def _planned(ports: Ports, chain: Chain, use_case: UseCase, digest: str, scratch: Path) -> assembly.Preparation:
    request = chain.request
    around = surroundings(ports, use_case, scratch)
    container = LOGS if request.kind is ChainKind.POST_PRODUCTION else DATASETS
    upload = _fetched(ports, container, request.dataset, scratch) if request.dataset else None
    if request.kind is ChainKind.POST_PRODUCTION:
        if upload is None:
            raise BusinessFailure("A post_production request needs `dataset`: the production log that was uploaded.")
        preparation = assembly.prepare_log(use_case, digest, around, upload, fresh=request.fresh)
    elif request.kind is ChainKind.DATASET and upload is None:
        raise BusinessFailure("A dataset request needs `dataset`: its name and the blob that was uploaded.")
    else:
        preparation = assembly.prepare(
            use_case, digest, around, selection=request.variants, upload=upload, fresh=request.fresh
        )
    budget.check(use_case, preparation, ports.blobs)
    return preparation


def surroundings(ports: Ports, use_case: UseCase, scratch: Path) -> Surroundings:
    """What this installation adds to the use case; data assets are fetched into `scratch`.

    Raises:
        BusinessFailure: a connection or a variable is not configured, or configured wrongly.
    """
    return Surroundings(
        connections=model_connections.planned(ports.settings, use_case.connections),
        variables=model_connections.variables_of(ports.settings, use_case),
        environment=os.environ,
        fetch=lambda dataset: fetch_asset(ports, use_case.name, dataset, scratch),
    )


def _fetched(ports: Ports, container: str, uploaded: DatasetUpload, scratch: Path) -> frozen.Upload:
    """Copy an upload to where it can be read, and freeze it by content: the next upload replaces its blob."""
    path = scratch / PurePosixPath(uploaded.blob).name
    sha = hashlib.sha256()
    try:
        with ports.blobs.open(container, uploaded.blob) as source, path.open("wb") as copy:
            while chunk := source.read(1 << 20):
                sha.update(chunk)
                copy.write(chunk)
    except NotFound:
        raise BusinessFailure(f"There is no upload {uploaded.blob!r} in the container `{container}`.") from None
    blob = f"datasets/{sha.hexdigest()}"
    _freeze(ports, blob, path)
    return frozen.Upload(name=uploaded.name, path=path, container=opened.CONTAINER, blob=blob)


def _freeze(ports: Ports, blob: str, path: Path) -> None:
    """Store a file under a name that its content gives; one that is there is the same."""
    with path.open("rb") as stream:
        _put(ports, blob, stream)


def _put(ports: Ports, blob: str, content: bytes | BinaryIO) -> None:
    try:
        ports.blobs.write(opened.CONTAINER, blob, content, if_absent=True)
    except Conflict:
        return


def _take_over_report(ports: Ports, chain: Chain, asset: Asset) -> str:
    """Bring the report that the version was registered with under this chain's name; return the evidence's digest."""
    origin, evidence = asset.tags.get(EVIDENCE_CHAIN, ""), asset.tags.get(EVIDENCE, "")
    for name in ("evidence.json", "report.html", "metrics.csv", "lines.csv"):
        try:
            with ports.blobs.open(REPORTS, f"{origin}/{name}") as source, tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(source, copy)
                copy.seek(0)
                ports.blobs.write(REPORTS, f"{chain.id}/{name}", copy)
        except NotFound:
            return json_digest({"content": asset.content_hash, "name": asset.name, "version": asset.version})
    return evidence


def _terms(ports: Ports, chain: Chain, use_case: UseCase, *, asks: bool) -> ApprovalTerms:
    """Who approves. Raises BusinessFailure where nobody could, which nobody should learn after an hour's wait."""
    approval, requester = use_case.approval, chain.request.requester
    # Only by sign-in are the members of a group told apart: without it, its address is one approver.
    signed_in = approval.groups if ports.settings.people.sign_in else {}
    refusal = refuses_everybody(
        tuple(name for name in approval.approvers if name not in signed_in),
        len(signed_in),
        approval.required,
        requester,
        requester_may_approve=approval.requester_may_approve,
    )
    if asks and refusal:
        raise BusinessFailure(
            f"Nobody could approve this chain: {refusal}. Name further people in `approval.approvers` of "
            "experiment.yaml, lower `required`, or set `requester_may_approve: true`."
        )
    return ApprovalTerms(
        approvers=approval.approvers,
        timeout_minutes=float(approval.timeout_minutes),
        reminder_minutes=float(approval.reminder_minutes),
        required=approval.required,
        groups=dict(approval.groups),
        requester_may_approve=approval.requester_may_approve,
    )
