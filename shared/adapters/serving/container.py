"""The first process of a container that serves a flow: `python -m shared.adapters.serving.container`.

It reads what is served (`served.json`, beside the package `shared`), resolves connections and variables from the
container's environment, and forks the server, which gets of that environment only what its flow may see. This process
runs no flow code: it turns all that the flow prints into JSON lines without secrets, passes on the order to stop, and
buries what the flow has started. When the server ends, it does, with the same code: the host starts another container.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from shared.adapters.local.engines.environment import declared_environment, engine_environment
from shared.adapters.serving import manifest
from shared.adapters.serving.apps import ServedFlow
from shared.adapters.serving.json_lines import JsonLines
from shared.adapters.serving.lifeline import die_with
from shared.adapters.serving.manifest import Manifest
from shared.adapters.serving.promptflow_home import promptflow_environment, quiet_promptflow
from shared.adapters.serving.server import STOP_SIGNALS, ServerSettings, run
from shared.connections import Connection, resolve
from shared.errors import GenAIOpsError
from shared.redaction import Redaction
from shared.use_case.variables import filled_in

APP: Final = Path(__file__).parents[3]
"""The folder of `served.json` and of the package `shared`."""
_LONGEST_LINE: Final = 64 * 1024
_LOOK_S: Final = 0.5
_KEY_VAULT: Final = "@Microsoft.KeyVault("
"""How App Service leaves a reference that it could not resolve:
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references."""
_UNRESOLVED: Final = (
    "the app settings {} are references to Key Vault that were not resolved: add the secrets there, give the web app's "
    "identity the role Key Vault Secrets User, and start the app again"
)
_IDENTITY: Final = {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"} | {
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
}
"""Of the container's managed or workload identity: a flow that signs in with it needs no key."""


def main() -> NoReturn:
    """Resolve and fork here, before any thread or heavy import exists: only then is a fork safe."""
    try:
        settings = _settings(os.environ)
    except ValueError as error:
        wrong = f"PORT and the settings GENAIOPS_SERVE_… that are given must be numbers: {error}"
        JsonLines(1, Redaction())("error", wrong)
        sys.exit(2)
    served, environment, redacted = _prepared(manifest.read(APP))
    log = JsonLines(os.dup(1), redacted)
    printed, prints = os.pipe()
    keeper = os.getpid()
    server = os.fork()
    if server == 0:
        die_with(keeper)
        os.close(printed)
        _redirect(prints)
        try:
            run(served, environment, settings, log)
        except OSError as error:
            log("error", f"it cannot listen on port {settings.port}: {error}")
        os._exit(1)
    os.close(prints)
    _keep(server, printed, log, settings.drain_s)


def _settings(variables: Mapping[str, str]) -> ServerSettings:
    default = ServerSettings()
    return ServerSettings(
        host=variables.get("GENAIOPS_SERVE_HOST") or default.host,
        port=int(variables.get("PORT") or default.port),
        concurrency=int(variables.get("GENAIOPS_SERVE_CONCURRENCY") or default.concurrency),
        max_body=int(variables.get("GENAIOPS_SERVE_MAX_BODY") or default.max_body),
        drain_s=float(variables.get("GENAIOPS_SERVE_DRAIN_S") or default.drain_s),
        deployment=variables.get("GENAIOPS_DEPLOYMENT", ""),
    )


def _prepared(content: Manifest) -> tuple[ServedFlow | str, dict[str, str], Redaction]:
    """What is served, or why nothing can be; the environment of its process; what must not be shown."""
    flow = APP / content.flow
    scratch = Path(tempfile.mkdtemp(prefix="served-", dir=_temporary()))
    quiet_promptflow(scratch)
    connections: Mapping[str, Connection] = {}
    unresolved = sorted(name for name, value in os.environ.items() if value.startswith(_KEY_VAULT))
    if unresolved:
        return _UNRESOLVED.format(", ".join(unresolved)), engine_environment(), Redaction()
    try:
        # No stand-in for a model here: a container that lacks a connection must say so.
        connections = resolve(content.connections, environment=os.environ, env_file=None, stand_in_url=None)
        given = filled_in(content.environment, os.environ, None)
        asked = declared_environment(flow, content.flow_file)
    except GenAIOpsError as error:
        return str(error), engine_environment(), Redaction(connections.values())
    identity = {name: os.environ[name] for name in _IDENTITY if name in os.environ}
    variables = {**asked, **given}
    environment = {**engine_environment(), **identity, **variables, **promptflow_environment(flow, scratch)}
    served = ServedFlow(
        flow=flow,
        flow_file=content.flow_file,
        dag=flow / content.dag if content.dag else None,
        package=content.package,
        root=APP / content.root if content.root else None,
        scratch=scratch,
        variants=content.variants,
        parameters=content.parameters,
        connections=connections,
        environment=given,
    )
    return served, environment, Redaction(connections.values(), {**identity, **variables})


def _temporary() -> str | None:
    """A folder that can be written to where nothing else can: Docker gives /dev/shm to read-only containers, too."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "/dev/shm"  # noqa: S108  # the last one there is; the folder made in it is this process's own


def _redirect(prints: int) -> None:
    """Let all that is printed here, by whatever the flow starts too, go into the pipe."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((nothing, 0), (prints, 1), (prints, 2)):
        os.dup2(fd, target)


def _keep(server: int, printed: int, log: JsonLines, drain_s: float) -> NoReturn:
    kill_at = float("inf")

    def stop(number: int, _: object) -> None:
        nonlocal kill_at
        kill_at = min(kill_at, time.monotonic() + drain_s + 2.0)  # flow code may have taken the server's handlers
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, number)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    rest = b""
    while True:
        if time.monotonic() >= kill_at:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
        readable, _, _ = select.select([printed], [], [], _LOOK_S)
        if readable and (chunk := os.read(printed, _LONGEST_LINE)):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            _log_printed(lines, log)
            continue
        code = _buried(server, wait=bool(readable))
        if code is not None:
            _log_printed([rest], log)
            if code < 0:
                log("error", f"the server was killed by {signal.Signals(-code).name}")
            os._exit(code if code >= 0 else 128 - code)


def _log_printed(lines: list[bytes], log: JsonLines) -> None:
    for line in lines:
        text = line.decode(errors="replace").rstrip()
        if text:
            log("info", text, source="flow")


def _buried(server: int, *, wait: bool) -> int | None:
    """Reap what has ended, as the first process of a container must; the server's code if it was among them."""
    code = None
    if wait:  # nobody can print any more: the server is about to end
        _, status = os.waitpid(server, 0)
        return os.waitstatus_to_exitcode(status)
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                break
            if ended == server:
                code = os.waitstatus_to_exitcode(status)
    return code


if __name__ == "__main__":
    main()
