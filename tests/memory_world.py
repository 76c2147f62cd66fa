"""The whole product in memory: the same handlers as the triggers call, on in-memory adapters, with crashes at will.

Every port call is one I/O step. A `Crash` at a step ends the handler at hand, before or after the step took effect, as
SIGKILL would; its message comes back when its lock expires.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import chain_store, dead_letters
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.adapters.queues import QueueConfig
from shared.advance import advance, start
from shared.chain.messages import ApprovalAnswered, ChainKind, ChainRequest, Queue, Verdict
from shared.chain.state import Chain, ChainStatus
from shared.delivery import Delivery, delivery_from
from shared.envelopes import send_event
from shared.names import chain_id
from shared.perform import perform
from shared.ports import OutgoingMessage, Ports, ReceivedMessage
from shared.settings import Settings, read
from shared.use_case import bundle

USE_CASES = Path(__file__).parent / "use_cases"
HANDLERS = {Queue.CHAIN_REQUESTS: start, Queue.CHAIN_EVENTS: advance}
CAPABILITIES = (
    Queue.EXPERIMENTATION,
    Queue.EVALUATION,
    Queue.REGISTRATION,
    Queue.DEPLOYMENT,
    Queue.REPORTING,
    Queue.NOTIFICATION,
)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Steps:
    """Counts I/O steps, and crashes at one of them."""

    count: int = 0
    crash_at: int | None = None
    after: bool = False
    names: list[str] = field(default_factory=list)

    def take(self, name: str, call: Callable[[], Any]) -> Any:
        self.count += 1
        self.names.append(name)
        if self.count == self.crash_at and not self.after:
            raise Crash
        result = call()
        if self.count == self.crash_at and self.after:
            raise Crash
        return result


class Crashing:
    """A port whose every call is a step."""

    def __init__(self, port: object, steps: Steps, name: str) -> None:
        self._port, self._steps, self._name = port, steps, name

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._port, method)
        if not callable(real):
            return real
        return lambda *args, **kwargs: self._steps.take(f"{self._name}.{method}", lambda: real(*args, **kwargs))


def small_flow(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    question = str(inputs["question"])
    return {"answer": question.upper() if spec.variants.get("shout", "loud") == "loud" else question}


def exact(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    return {"correct": inputs["expected"] == inputs["answer"]}


def accuracy(lines: Any) -> Mapping[str, float]:
    return {"accuracy": sum(bool(line.outputs["correct"]) for line in lines) / len(lines)}


class World:
    """Everything there is, and a pump that delivers messages until nothing is left to do."""

    def __init__(self, home: Path, *, duplicates: bool = False, looks: int = 1, **overrides: Any) -> None:
        self.clock = ManualClock()
        self.settings: Settings = read({"GENAIOPS_HOME": str(home), "GENAIOPS_ROOT": str(home / "app")})
        flows = home / "app" / "flows"
        if not flows.exists():
            flows.mkdir(parents=True)
            for use_case in USE_CASES.iterdir():
                (flows / use_case.name).symlink_to(use_case)
        queues = [
            QueueConfig(name, sessions=queue is Queue.CHAIN_EVENTS, duplicate_window_seconds=0 if duplicates else 600)
            for queue, name in self.settings.queues.items()
        ]
        self.bus = MemoryBus(queues, self.clock)
        self.blobs = MemoryBlobStore(self.clock)
        self.runner = MemoryFlowRunner(
            {"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, clock=self.clock
        )
        self.endpoints = MemoryEndpoints({"small": small_flow}, looks=looks)
        self.notifier = RecordingNotifier()
        self.pipelines = RecordingPipelines()
        self.registry = LocalRegistry(self.blobs, self.clock)
        for name, value in overrides.items():
            setattr(self, name, value)
        self.duplicates = duplicates
        self.steps = Steps()
        self.ports = self._wired()

    def _wired(self) -> Ports:
        def crashing(port: Any, name: str) -> Any:
            return Crashing(port, self.steps, name)

        blobs = crashing(self.blobs, "blobs")
        return Ports(
            settings=self.settings,
            clock=self.clock,
            bus=crashing(self.bus, "bus"),
            blobs=blobs,
            runner=crashing(self.runner, "runner"),
            registry=LocalRegistry(blobs, self.clock),
            endpoints=crashing(self.endpoints, "endpoints"),
            notifier=crashing(self.notifier, "notifier"),
            pipelines=crashing(self.pipelines, "pipelines"),
            keys=BlobKeys(blobs),
        )

    # ---------------------------------------------------------------------------------------------------- from outside

    def request(self, kind: str = "ci", use_case: str = "small", request_id: str = "r1", **fields: Any) -> str:
        """Publish a request as a pipeline does; returns the chain's id."""
        asked = ChainRequest(request_id=request_id, kind=ChainKind(kind), use_case=use_case, **fields)
        self.publish(Queue.CHAIN_REQUESTS, asked.model_dump_json().encode(), message_id=f"{kind}-{request_id}")
        return chain_id(use_case, kind, request_id)

    def publish_use_case(self, changes: Mapping[str, str]) -> str:
        """Store a bundle of the small use case with these files in it; returns its digest, as a pipeline names it."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "small"
            shutil.copytree(USE_CASES / "small", folder)
            for name, content in changes.items():
                (folder / name).write_text(content, "utf-8")
            made = bundle.make(folder)
        self.blobs.write("bundles", f"{made.digest}.zip", made.content)
        return made.digest

    def publish(
        self, queue: Queue, body: bytes, message_id: str, session: str | None = None, **properties: str
    ) -> None:
        message = OutgoingMessage(body, message_id, session_id=session, properties=properties)
        self.bus.send(self.settings.queues[queue], [message])

    def answer(self, chain: str, verdict: Verdict = Verdict.APPROVED, approver: str = "ada") -> None:
        approval = self.chain(chain).approval
        assert approval is not None
        plain = Ports(**{**self.ports.__dict__, "bus": self.bus})
        send_event(
            plain,
            ApprovalAnswered(
                id=f"{chain}/approval/link-of-{approver}",
                chain=chain,
                at=self.clock.now(),
                approver=approver,
                verdict=verdict,
                evidence=approval.evidence,
            ),
        )

    # -------------------------------------------------------------------------------------------------------- pumping

    def pump(self, *, approve: bool = True, patience: int = 400) -> None:
        """Deliver messages until the chains wait for nobody but people; approve what waits if `approve`."""
        for _ in range(patience):
            if self._deliver_one():
                continue
            asked = [c for c in self.chains() if c.status is ChainStatus.AWAITING_APPROVAL]
            waiting = [c for c in asked if not c.awaiting]  # people answer once they have their links
            if waiting and approve:
                for chain in waiting:
                    self.answer(chain.id)
                continue
            locked = any(self.bus.counts(name).active for name in self.settings.queues.values())
            quiet = all(c.status.is_final or c.status is ChainStatus.AWAITING_APPROVAL for c in self.chains())
            if quiet and not locked:
                return
            self.clock.advance(61)  # locks expire, scheduled looks come due
        raise AssertionError(f"the chains do not end: {[(c.id, c.status, c.awaiting) for c in self.chains()]}")

    def _deliver_one(self) -> bool:
        names = self.settings.queues
        for queue in (Queue.CHAIN_REQUESTS, *CAPABILITIES):
            for message in self.bus.receive(names[queue]):
                self._handle(queue, message)
                return True
        for queue, name in names.items():
            for message in self.bus.receive(f"{name}/$deadletterqueue"):
                self._handle(queue, message, dead_letters.record)
                return True
        session = self.bus.accept_session(names[Queue.CHAIN_EVENTS])
        if session is None:
            return False
        try:
            for message in self.bus.receive(names[Queue.CHAIN_EVENTS], session_id=session):
                self._handle(Queue.CHAIN_EVENTS, message)
        finally:
            self.bus.release_session(names[Queue.CHAIN_EVENTS], session)
        return True

    def _handle(
        self, queue: Queue, message: ReceivedMessage, handler: Callable[[Ports, Delivery], None] | None = None
    ) -> None:
        delivery = delivery_from(queue, message)
        handler = handler or HANDLERS.get(queue, perform)
        try:
            handler(self.ports, delivery)
            if self.duplicates:
                handler(self.ports, delivery)
        except Crash:
            return  # the process is dead: nobody settles the message, its lock will expire
        except Exception:
            self.bus.abandon(message)
            return
        self.bus.complete(message)

    # -------------------------------------------------------------------------------------------------------- looking

    def chain(self, identifier: str) -> Chain:
        return chain_store.load(self.blobs, identifier)[0]

    def chains(self) -> list[Chain]:
        return chain_store.recent(self.blobs)

    def log(self, identifier: str) -> list[str]:
        return [entry.text for entry in chain_store.read_log(self.blobs, identifier)]

    def dead_letters(self) -> list[dead_letters.DeadLetter]:
        return dead_letters.listed(Ports(**{**self.ports.__dict__, "blobs": self.blobs}))
