"""Running chains in this process: a request in, messages pumped until the chain has ended, its results out.

What lies between is the product: `advance`, `perform`, the local flow runner with its warm workers, the report. Only
the queues and the store are in memory. Chains of one Lab share the store, so that a later one reuses what an
earlier one has run, and the workers, so that only the first one waits for them.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import uuid
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from genaiops.lab.errors import LabError
from genaiops.lab.pump import LabBus, Pump
from genaiops.lab.results import Results
from genaiops.lab.sampling import copied
from shared import chain_store, model_connections, settings
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.claim_check import send
from shared.errors import Conflict, NotFound
from shared.names import chain_id
from shared.ports import BlobStore, OutgoingMessage, Ports
from shared.use_case import bundle, opened
from shared.use_case.load import load as load_use_case
from shared.use_case.model import UseCase

if TYPE_CHECKING:
    from genaiops.stand_in_model import StandIn
    from shared.adapters.local.flow_runner import LocalFlowRunner
    from shared.settings import Settings

THREADS: Final = 16
"""Runs and evaluations that are handled side by side."""
_GRACE_S: Final = 600.0
"""How long a thread waits for the end of its run before it looks again: it has nothing else to do."""


def load(use_case: str | Path, environment: str = "dev") -> UseCase:
    """Read and validate a use case.

    Args:
        use_case: a folder with an `experiment.yaml`, or the name of one under `flows/`.
        environment: whose overlay `experiment.<environment>.yaml` applies.

    Raises:
        NotFound: there is no such folder.
        InvalidUseCase: with every problem, each by file and line.
    """
    from genaiops.cli.wiring import use_case_folder

    configured = settings.read()
    folder = Path(use_case)
    if not (folder / "experiment.yaml").is_file():
        folder = use_case_folder(str(use_case), configured)
    return load_use_case(folder, environment, data=configured.data)


class Lab:
    """Runs chains of use cases: `with Lab() as bench: results = bench.run(load("ticket_triage"))`.

    Nothing starts before the first run. What has started (the flows' workers, the stand-in model where a connection is
    not configured) ends with `close`, with an interrupted run, or with this process, however that ends.
    """

    def __init__(self, *, stand_in_options: Mapping[str, float] | None = None, blobs: BlobStore | None = None) -> None:
        """`stand_in_options`: how the stand-in model behaves, as `{"latency-ms": 200}`.

        `blobs` keeps what chains leave behind; None: this process's memory, which suits samples.
        """
        configured = settings.read()
        self._equipment = _Equipment(configured, stand_in_options)
        self._blobs: BlobStore = MemoryBlobStore() if blobs is None else blobs
        self._turn = threading.Lock()
        # At the latest when this process ends: a notebook's kernel leaves no `with`.
        self._finalizer = weakref.finalize(self, self._equipment.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process and remove the scratch folder. Results stay readable, and a further run starts anew."""
        self._equipment.close()

    def run(
        self,
        use_case: UseCase,
        *,
        variants: str | Sequence[str] = "*",
        sample: int | None = 20,
        fresh: bool = False,
        parameters: Mapping[str, Sequence[object]] | None = None,
    ) -> Results:
        """Run the matrix of variants and datasets with its evaluations, on the folder as it is now.

        Args:
            use_case: from `load`.
            variants: `*` for all, `defaults`, or labels: `["classify.defined", "classify.temperature=0.9"]`.
            sample: the first so many rows of each dataset; None: all that the use case uses.
            fresh: whether everything is run, whatever earlier calls have run.
            parameters: values to try in place of those of `experiment.yaml`: `{"classify.temperature": [0, 0.5]}`.

        Raises:
            LabError: the chain could not run at all; the text holds why.
            InvalidUseCase: the folder has become invalid.
        """
        if not isinstance(use_case, UseCase):
            raise LabError(f"{use_case!r} is no use case that was loaded: run(load({str(use_case)!r})).")
        with self._turn:
            try:
                return self._run(use_case, variants, sample, parameters, fresh=fresh)
            except (KeyboardInterrupt, SystemExit):
                self._equipment.close()
                raise

    def _run(
        self,
        use_case: UseCase,
        variants: str | Sequence[str],
        sample: int | None,
        parameters: Mapping[str, Sequence[object]] | None,
        *,
        fresh: bool,
    ) -> Results:
        ports, bus = self._equipment.ports(use_case, self._blobs)
        with tempfile.TemporaryDirectory(dir=ports.settings.home) as scratch:
            folder = copied(
                use_case, ports.settings.data, Path(scratch) / "use-case", sample=sample, parameters=parameters
            )
            made = bundle.make(folder)
        with suppress(Conflict):  # the same content was run before
            self._blobs.write(opened.CONTAINER, opened.bundle_blob(made.digest), made.content, if_absent=True)
        request = ChainRequest(
            request_id=str(uuid.uuid4()),
            kind=ChainKind.PR,
            use_case=made.use_case,
            environment=use_case.environment,
            bundle=made.digest,
            variants=variants if isinstance(variants, str) else ",".join(variants),
            fresh=fresh,
            requester="lab",
        )
        identifier = chain_id(request.use_case, request.kind, request.request_id)
        message = OutgoingMessage(request.model_dump_json().encode(), f"{identifier}/request")
        with Pump(ports, bus, THREADS) as pump:
            send(ports, Queue.CHAIN_REQUESTS, [message])
            try:
                chain = pump.until_ended(identifier)
            except BaseException:
                self._equipment.close()  # else the pump's threads would wait for runs that nobody wants
                raise
        try:
            chain_store.read_prepared(self._blobs, identifier)
        except NotFound:
            raise LabError(chain.reason or f"The chain ended as {chain.status} before it was prepared.") from None
        return Results(self._blobs, chain)


class _Equipment:
    """The processes and the scratch folder, started when they are first needed, and again after `close`."""

    def __init__(self, configured: Settings, stand_in_options: Mapping[str, float] | None) -> None:
        self._configured = configured
        self._stand_in_options = stand_in_options
        self._stack = ExitStack()
        self._home: Path | None = None
        self._runner: LocalFlowRunner | None = None
        self._stand_in: StandIn | None = None

    def ports(self, use_case: UseCase, blobs: BlobStore) -> tuple[Ports, LabBus]:
        """Ports with queues of their own, and everything up that the use case needs."""
        from genaiops.lab.data_assets import LabRegistry
        from shared.adapters.local.clock import SystemClock
        from shared.adapters.local.flow_runner import LocalFlowRunner
        from shared.adapters.memory.endpoints import MemoryEndpoints
        from shared.adapters.memory.notifier import RecordingNotifier

        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="genaiops-lab-"))
            self._stack.callback(shutil.rmtree, self._home, ignore_errors=True)
        if (self._stand_in is None or not self._stand_in.running) and self._asks_stand_in(use_case):
            from genaiops.stand_in_model import start_stand_in

            self._stand_in = start_stand_in(options=self._stand_in_options, log=self._home / "stand-in.log")
            self._stack.callback(self._stand_in.stop)
        if self._runner is None:
            self._runner = LocalFlowRunner(self._home, grace_s=_GRACE_S, max_runs=THREADS)
            self._stack.callback(self._runner.close)
            # What takes longest begins before anything is made ready for it.
            self._runner.foresee(use_case.flow, use_case.flow_file)
            for evaluator in use_case.evaluators:
                self._runner.foresee(evaluator.flow, evaluator.flow_file)
        port = self._stand_in.port if self._stand_in is not None else self._configured.stand_in_port
        here = replace(self._configured, profile="local", home=self._home, stand_in_port=port, look_seconds=1)
        clock = SystemClock()
        bus = LabBus(here, clock)
        ports = Ports(
            settings=here,
            clock=clock,
            bus=bus,
            blobs=blobs,
            runner=self._runner,
            registry=LabRegistry(blobs, clock, self._configured),
            endpoints=MemoryEndpoints({}),
            notifier=RecordingNotifier(),
            pipelines=RecordingPipelines(),
            keys=BlobKeys(blobs),
        )
        return ports, bus

    def _asks_stand_in(self, use_case: UseCase) -> bool:
        resolved = model_connections.resolved(self._configured, use_case.connections)
        return any(connection.stand_in for connection in resolved.values())

    def close(self) -> None:
        """End everything; a second call does nothing."""
        stack, self._stack = self._stack, ExitStack()
        self._home = self._runner = self._stand_in = None
        stack.close()


_shared: list[Lab] = []
_shared_lock: Final = threading.Lock()


def run(
    use_case: UseCase,
    *,
    variants: str | Sequence[str] = "*",
    sample: int | None = 20,
    fresh: bool = False,
    parameters: Mapping[str, Sequence[object]] | None = None,
) -> Results:
    """`Lab.run` in a Lab that all calls in this process share; its processes end with `close`, or with this one."""
    with _shared_lock:
        if not _shared:
            _shared.append(Lab())
    return _shared[0].run(use_case, variants=variants, sample=sample, fresh=fresh, parameters=parameters)


def close() -> None:
    """End the processes of the Lab that `run` uses, and forget what it ran."""
    with _shared_lock:
        while _shared:
            _shared.pop().close()
