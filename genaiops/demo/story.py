"""The demo's story: two commits, each approved and deployed, traffic split 90/10, then a dataset upload, twice; and
what of it was reused.

Message → chain (followed by its state) → approval page over HTTP → endpoint over HTTP. Whatever differs from what the
story promises is said at the end and makes the exit code 1.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from genaiops.cli.output import say
from genaiops.cli.progress import follow
from genaiops.demo.stage import USE_CASE, changed_use_case, demo_settings, publish
from genaiops.embedded import Embedded, addresses
from genaiops.host.signals import Interrupted, interrupting_signals
from shared import chain_store, reporting
from shared.approvals.links import link_for
from shared.chain.state import Chain, ChainStatus
from shared.errors import GenAIOpsError, NotFound
from shared.ports import AssetKind, Ports

DRAIN_TIMEOUT_S: Final = 1.0
"""Functions run at the demo's end only where it was interrupted, and then nobody wants to wait for them."""
PATIENCE_S: Final = 300.0
INTERACTIVE_PATIENCE_S: Final = 3600.0
CALLS: Final = 40
UPLOADED: Final = ("tickets_mail", "tickets_mail_changed.csv")


def run(*, interactive: bool = False) -> int:
    """Play the demo; returns 0 if everything went as promised, else 1.

    Raises:
        HostError: a host runs in the demo's home.
        Interrupted: by Ctrl-C or SIGTERM; exits with 130 or 143.
    """
    begun = time.monotonic()
    settings = demo_settings()
    settings.home.mkdir(parents=True)
    logging.basicConfig(filename=settings.home / "host.log", level=logging.INFO)
    try:
        with interrupting_signals(), Embedded(settings, drain_timeout_s=DRAIN_TIMEOUT_S) as embedded:
            for line in addresses(embedded):
                say(line)
            story = _Story(embedded.ports, interactive=interactive)
            story.play()
    except Interrupted:
        say("\nInterrupted. No process is left running.", "yellow")
        raise
    say(f"\nThe demo took {time.monotonic() - begun:.0f} s. No process is left running.")
    for line in story.surprises:
        say(f"NOT AS PROMISED: {line}", "red")
    say(
        f"To look around: GENAIOPS_HOME={_shown(settings.home)} make start   (dashboard and endpoint then answer again)"
    )
    return 1 if story.surprises else 0


class _Story:
    def __init__(self, ports: Ports, *, interactive: bool) -> None:
        self.ports = ports
        self.interactive = interactive
        self.surprises: list[str] = []

    def play(self) -> None:
        ports = self.ports
        say("\n1. A merge: the pipeline publishes one message", "bold")
        first = self.ci(ports.settings.flows / USE_CASE, build=1)
        say("\n2. The next merge changes one prompt: only what it changed is run; it gets 10 % of the traffic", "bold")
        with changed_use_case(ports.settings) as folder:
            second = self.ci(folder, build=2)
        self.promise("the second chain reuses lines of the first", self.reused(second) > 0, "it reused none")
        self.call_endpoint(second)
        say("\n3. A changed dataset is uploaded: it starts a re-evaluation by itself", "bold")
        self.upload(known=False)
        say("\n4. The same bytes are uploaded again: nothing is registered, nothing is run", "bold")
        self.upload(known=True)
        say("\nWhere things are", "bold")
        for chain in (first, second):
            if chain.report:
                say(f"report     {_shown(ports.settings.home / 'blobs' / 'reports' / chain.report)}")
        say(f"dashboard  {ports.settings.functions_url}/api/dashboard")
        for endpoint in ports.endpoints.list():
            say(f"endpoint   {endpoint.url}")

    # ------------------------------------------------------------------------------------------------------- chapters

    def ci(self, folder: Path, build: int) -> Chain:
        chain = self.follow(publish(self.ports, folder, build))
        self.promise(f"chain {chain.id} succeeds", chain.status is ChainStatus.SUCCEEDED, chain.reason)
        if chain.candidate:
            say(f"Verdict: {chain.status}. {chain.candidate.label} was chosen, registered and deployed.", "green")
        else:
            say(f"Verdict: {chain.status}. {chain.reason}", "red")
        return chain

    def reused(self, chain: Chain) -> int:
        """Tell what a chain reused of earlier ones; returns how many lines."""
        try:
            evidence = json.loads(self.ports.blobs.read(reporting.CONTAINER, f"{chain.id}/evidence.json"))
        except NotFound:
            return 0
        told = evidence["reuse"]
        say(
            f"Reused: {told['lines_reused']:,} of {told['lines']:,} lines and {told['evaluation_lines_reused']:,} of "
            f"{told['evaluation_lines']:,} evaluation lines; {told['model_calls']:,} model calls made, "
            f"{told['model_calls_saved']:,} saved."
        )
        return int(told["lines_reused"]) + int(told["evaluation_lines_reused"])

    def call_endpoint(self, chain: Chain) -> None:
        if chain.deployment is None:
            return
        say(f"Calling the endpoint {CALLS} times as its users do")
        endpoint = chain.deployment.endpoint
        before = {d.name: d.requests for d in self.ports.endpoints.describe(endpoint).deployments}
        body = (self.ports.settings.flows / USE_CASE / "configs" / "sample-request.json").read_bytes()
        url = self.ports.endpoints.describe(endpoint).url
        answer = b""
        for _ in range(CALLS):
            status, answer = _http(url, body, {"Content-Type": "application/json"})
            self.promise("the endpoint answers every call", status == 200, f"it answered {status}")
        say(f"It answers: {json.dumps(json.loads(answer), ensure_ascii=False)}")
        time.sleep(1.2)  # the router writes its counts once a second
        described = self.ports.endpoints.describe(endpoint)
        counts = {d.name: d.requests - before[d.name] for d in described.deployments}
        split = ", ".join(f"{name} {described.traffic.get(name, 0)} %: {n} calls" for name, n in counts.items())
        say(f"A/B: {split}", "green")
        shares = sorted(share for share in described.traffic.values() if share)
        self.promise("traffic is split 90/10", shares == [10, 90], str(dict(described.traffic)))
        self.promise(
            "both deployments were called", all(counts.get(n) for n, s in described.traffic.items() if s), split
        )

    def upload(self, *, known: bool) -> None:
        dataset, file = UPLOADED
        path = self.ports.settings.data / USE_CASE / file
        before = {chain.id for chain in chain_store.recent(self.ports.blobs)}
        versions = len(self.ports.registry.list(AssetKind.DATA))
        say(f"Uploading {_shown(path)} as {dataset}")
        self.ports.blobs.write("datasets", f"{USE_CASE}/{dataset}/{file}", path.read_bytes())
        identifier = self.new_chain(before)
        if identifier is None:
            return
        chain = self.follow(identifier)
        registered = len(self.ports.registry.list(AssetKind.DATA)) - versions
        runs = chain.progress.runs_completed + chain.progress.runs_failed
        said = f"{registered} data asset version{'' if registered == 1 else 's'} registered, {runs} runs"
        say(f"Verdict: {chain.status}. {chain.reason or said}", "green")
        self.promise("the dataset chain succeeds", chain.status is ChainStatus.SUCCEEDED, chain.reason)
        if known:
            self.promise("known content is neither registered nor run", (registered, runs) == (0, 0), said)
        else:
            self.promise("new content is registered and run", registered == 1 and runs > 0, said)
            self.promise("rows that did not change are reused", self.reused(chain) > 0, "none was reused")

    # -------------------------------------------------------------------------------------------------------- helpers

    def follow(self, identifier: str) -> Chain:
        """Tell the chain's story until it has ended, approving on the way."""
        patience = INTERACTIVE_PATIENCE_S if self.interactive else PATIENCE_S
        chain, said, answered = None, "", False
        for snapshot in follow(self.ports, identifier, timeout=patience, patience=30):
            chain = snapshot.chain
            for entry in snapshot.log:
                say(f"  {entry.at:%H:%M:%S} {entry.text}", "red" if entry.level == "error" else None)
            sentence = snapshot.sentence()
            if sentence and sentence != said and chain.step and chain.step.step in ("experimentation", "evaluation"):
                say(f"  {chain.updated_at:%H:%M:%S}   {sentence}")
                said = sentence
            if chain.status is ChainStatus.AWAITING_APPROVAL and not chain.awaiting and not answered:
                answered = True
                self.approve(chain)
        assert chain is not None  # follow() ends only after a final snapshot
        return chain

    def approve(self, chain: Chain) -> None:
        assert chain.approval is not None
        approver = chain.approval.approvers[0]
        link = link_for(self.ports, chain, approver)
        if self.interactive:
            say("  Open one of these links and answer; the demo goes on then.", "yellow")
            return
        status, page = _http(link)
        self.promise("the approval page opens", status == 200 and b"<form" in page, f"it answered {status}")
        form = urlencode({"verdict": "approve", "comment": "The gates hold."}).encode()
        status, page = _http(link, form, {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 200:
            raise GenAIOpsError(f"The approval page refused the approval with status {status}: {page[:500]!r}")
        say(f"  Approved through the link of {approver}. (make demo ARGS=--interactive lets you do it.)", "yellow")

    def new_chain(self, before: set[str]) -> str | None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for chain in chain_store.recent(self.ports.blobs):
                if chain.id not in before:
                    return chain.id
            time.sleep(0.1)
        self.promise("an upload starts a chain", False, "none began within 30 s")
        return None

    def promise(self, what: str, kept: bool, found: str) -> None:
        if not kept:
            self.surprises.append(f"{what}, but: {found}")


def _http(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = Request(url, data=body, headers=headers or {})  # noqa: S310  (an address of this machine)
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def _shown(path: Path) -> str:
    """A path as short as it can be said."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
