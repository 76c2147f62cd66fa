"""The product on one machine: the embedded host with the profile's adapters, and what the local ones need beside it.

`python -m genaiops start`, the demo and the acceptance tests all run exactly this. Under the local profile flows are
served here and a stand-in model stands by; under the azure profile the functions run here on the resources in Azure.
The queues may be those of any Service Bus namespace or emulator (`start --bus`). Together with `shared/bootstrap.py`
and the lab it is what knows which adapters there are. What starts is stopped in the opposite order: first the host
drains its functions, then the endpoints end, the flow runner's workers, and last the stand-in model.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

from genaiops import known_connections
from shared import bootstrap, model_connections
from shared.errors import GenAIOpsError
from shared.ports import Ports, QueueReceiver
from shared.settings import Settings
from shared.use_case.model import ConnectionSpec
from shared.visible import for_terminal

if TYPE_CHECKING:
    import azure.functions as func

    from genaiops.host import Host
    from genaiops.host.blobs import PoisonBlob
    from genaiops.stand_in_model import StandIn

log: Final = logging.getLogger("genaiops.embedded")

DRAIN_TIMEOUT_S: Final = 30.0
NOT_HERE: Final = (
    "Uploads of datasets are told to the app in Azure, by Event Grid, and not to this host: use `submit`. "
    "An app that is deployed on the same queues takes its part of the messages."
)


@runtime_checkable
class Closable(Protocol):
    """An adapter that holds connections or processes."""

    def close(self) -> None:
        """Let go of them."""
        ...


class Embedded:
    """Everything up while it is entered: `with Embedded(settings.read()) as running: running.dashboard_url`."""

    def __init__(
        self,
        settings: Settings,
        *,
        stand_in_options: Mapping[str, float] | None = None,
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            settings: of either profile. This process's ports are wired from them.
            stand_in_options: how the stand-in model behaves: `{"latency-ms": 200, "throttle-rate": 0.05}`.
            drain_timeout_s: how long `stop` lets running functions go on.
        """
        self.settings = settings
        self._stand_in_options = stand_in_options
        self._drain_timeout_s = drain_timeout_s
        self._stack = ExitStack()
        self._host: Host | None = None
        self._stop_requested = False
        self.stand_in: StandIn | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------------ addresses

    @property
    def host(self) -> Host:
        """The embedded host. Raises GenAIOpsError before `start`."""
        if self._host is None:
            raise GenAIOpsError("The embedded host was not started.")
        return self._host

    @property
    def ports(self) -> Ports:
        """The ports that the functions use."""
        return bootstrap.ports()

    @property
    def functions_url(self) -> str:
        """Address of the HTTP functions, with the route prefix."""
        return self.host.http_url

    @property
    def dashboard_url(self) -> str:
        """Address of the dashboard."""
        return f"{self.functions_url}/dashboard"

    @property
    def router_url(self) -> str:
        """Address of the endpoints: `<router>/<endpoint>/score`."""
        return self.settings.router_url

    @property
    def is_local(self) -> bool:
        """Whether flows are run and served on this machine."""
        return self.settings.azure is None

    def stand_in_connections(self) -> tuple[str, ...]:
        """Connections of the use cases under `flows/` that are not configured: the stand-in model answers for them.

        None in Azure: there a workspace has the connections.
        """
        if not self.is_local:
            return ()
        return known_connections.of_stand_in(self.settings, self._connections)

    @cached_property
    def _connections(self) -> tuple[ConnectionSpec, ...]:
        # To read every use case takes a while: once is enough.
        return known_connections.described(self.settings)

    # ------------------------------------------------------------------------------------------------- start and stop

    def start(self) -> None:
        """Start everything and return when it serves.

        Raises:
            GenAIOpsError: a port is taken, another host has the home, a setting is wrong. Nothing is left running.
        """
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise

    def wait(self) -> None:
        """Return when a stop was requested."""
        if not self._stop_requested:
            self.host.wait()

    def request_stop(self) -> None:
        """Ask `wait` to return; safe in a signal handler, also while `start` is under way."""
        self._stop_requested = True
        if self._host is not None:
            self._host.request_stop()

    def stop(self) -> None:
        """Let running functions end, then end every process; a second call does nothing."""
        self._stack.close()

    def _begin(self) -> None:
        from genaiops.host import Host, app_settings
        from genaiops.host.lock import HomeLock

        settings = self.settings
        bootstrap.make_home(settings)
        # A connection that cannot be read is a mistake to be told now, not in the first run.
        self.stand_in_connections()
        state = settings.home / "host"
        state.mkdir(parents=True, exist_ok=True)
        # Taken first, for the most frequent mistake is a host that runs already: its ports would be complained of else.
        home = HomeLock(state)
        home.acquire()
        self._stack.callback(home.release)
        if self.is_local:
            self._start_stand_in()
        ports = bootstrap.wire(settings)
        bootstrap.use(ports)
        if isinstance(ports.bus, Closable):
            self._stack.callback(ports.bus.close)
        if self.is_local:
            self._serve_endpoints(ports)
        if not isinstance(ports.bus, QueueReceiver):
            raise GenAIOpsError(f"{type(ports.bus).__name__} cannot be received from: it is no bus of a host.")
        host = Host(
            load_function_app(settings.root),
            ports.bus,
            ports.blobs,
            state,
            settings.http_port,
            host_json=settings.root / "host.json",
            app_settings=app_settings(settings),
            clock=ports.clock,
            drain_timeout_s=self._drain_timeout_s,
            lock=home,
            on_poison=lambda blob: keep_as_dead_letter(ports, blob),
            takes_old_blobs=self.is_local,
        )
        host.start()
        self._stack.callback(host.stop)
        self._host = host

    def _serve_endpoints(self, ports: Ports) -> None:
        """Serve what is deployed locally, and end the runner's workers with it."""
        from shared.adapters.local.endpoints.supervisor import EndpointSupervisor

        settings = self.settings
        if isinstance(ports.runner, Closable):
            self._stack.callback(ports.runner.close)
        supervisor = EndpointSupervisor(
            ports.blobs,
            settings.home,
            settings.router_port,
            partial(model_connections.resolved, settings),
            fill_in=partial(model_connections.filled_in, settings),
        )
        supervisor.start()
        self._stack.callback(supervisor.stop)

    def _start_stand_in(self) -> None:
        """It also stands by where all known connections are configured: a bundle may bring another name."""
        from genaiops.stand_in_model import start_stand_in

        try:
            self.stand_in = start_stand_in(
                self.settings.stand_in_port, options=self._stand_in_options, log=self.settings.home / "stand-in.log"
            )
        except GenAIOpsError as error:
            if self.stand_in_connections():
                raise
            log.warning("no stand-in model, and none is needed as things are: %s", error)
            return
        self._stack.callback(self.stand_in.stop)


def keep_as_dead_letter(ports: Ports, blob: PoisonBlob) -> None:
    """The host only keeps a record: what people see are the dead letters."""
    from shared.datasets import uploads

    if blob.container == uploads.DATASETS:
        uploads.upload_given_up(ports, blob.name, blob.etag, blob.last_modified, blob.tries, blob.error)


def load_function_app(root: Path) -> func.FunctionApp:
    """A fresh FunctionApp from `function_app.py`: a host may index an app only once, and tests start several hosts."""
    spec = importlib.util.spec_from_file_location("function_app", root / "function_app.py")
    if spec is None or spec.loader is None:
        raise GenAIOpsError(f"{root / 'function_app.py'} cannot be loaded; GENAIOPS_ROOT must name the app's folder.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: func.FunctionApp = module.app
    return app


def run_until_stopped(settings: Settings, say: Callable[[str], None]) -> None:
    """Start everything, say where it is, and serve until SIGTERM or Ctrl-C; a second signal ends at once."""
    from genaiops.host import stop_signals

    _log_to_terminal()
    embedded = Embedded(settings)
    with stop_signals(embedded.request_stop):
        with embedded:
            for line in addresses(embedded):
                say(line)
            say("Everything is up. Ctrl-C stops it.")
            embedded.wait()
            say("Stopping: what runs is finished first. Ctrl-C again ends at once.")
        say("Stopped.")


def addresses(embedded: Embedded) -> list[str]:
    """What a person needs to know of what runs here."""
    from shared.adapters.azure.bus import ServiceBus

    settings, bus = embedded.settings, embedded.ports.bus
    lines = [f"dashboard   {embedded.dashboard_url}", f"functions   {embedded.functions_url}"]
    if embedded.is_local:
        lines += [f"endpoints   {embedded.router_url}/<endpoint>/score", f"data        {settings.home}"]
    if isinstance(bus, ServiceBus):
        lines.append(f"queues      {bus.host}")
    if settings.bus_connection is not None:
        lines.append("            other commands find them by GENAIOPS_BUS: set it where you run them")
    if settings.azure is not None:
        lines.append(f"data        {settings.azure.blob_service}, workspace {settings.azure.workspace}")
        lines.append(NOT_HERE)
    if names := embedded.stand_in_connections():
        lines.append(stand_in_notice(embedded.settings, names))
    return lines


def stand_in_notice(settings: Settings, names: tuple[str, ...]) -> str:
    """The line that says, each time, that no real model is asked."""
    which = f"connection{'s' if len(names) > 1 else ''} {', '.join(names)}"
    return (
        f"STAND-IN MODEL IN USE (rules, not an LLM) for the {which}: configure a real one in {settings.env_file}, as "
        f'{names[0]}={{"api_key": "…", "api_base": "…", "api_type": "azure", "api_version": "2024-02-01"}}'
    )


class _Visible(logging.Formatter):
    """Errors of flows and texts of models are in the log: they must not move the cursor or hide what was said."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry, traceback and all."""
        return for_terminal(super().format(record))


def _log_to_terminal() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Visible("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("aiohttp", "azure", "asyncio", "promptflow", "werkzeug", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Its adapter says what fails, once; the SDK says it at each try, with a traceback.
    logging.getLogger("azure.servicebus").setLevel(logging.CRITICAL)
