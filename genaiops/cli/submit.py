"""`submit` asks for a chain as a pipeline would; `upload` puts a dataset where its upload starts a re-evaluation."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.checking import env_file_of, problems_of, told
from genaiops.cli.outcome import Refused, WrongUsage
from genaiops.cli.output import plural, print_json, say
from genaiops.cli.wiring import Kind

if TYPE_CHECKING:
    from shared.chain.messages import ChainRequest
    from shared.chain.state import ChainStatus
    from shared.ports import Ports

UPLOADS = ("dataset", "post_production")
"""The kinds of chain that speak of an uploaded dataset or log."""
COLD_START = 600.0
"""Seconds until a function app in Azure has taken a request, at most."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(submit)
    app.command()(upload)


def submit(
    use_case: Annotated[
        str, typer.Argument(metavar="USE_CASE", help="A use case folder, or the name of one under flows/.")
    ],
    kind: Annotated[Kind, typer.Option(help="pr, ci, cd, dataset or post_production.")] = "ci",
    environment: Annotated[str, typer.Option("--environment", "-e", help="Whose overlay applies.")] = "dev",
    commit: Annotated[str | None, typer.Option(help="The commit (default: HEAD of the folder's repository).")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch (default: the one checked out).")] = None,
    build_id: Annotated[str | None, typer.Option(help="The pipeline's build.")] = None,
    pull_request: Annotated[int | None, typer.Option(help="The pull request's number.", min=1)] = None,
    variants: Annotated[str, typer.Option(help="`*` (every variant), `defaults`, or `variant,node.variant,…`.")] = "*",
    requester: Annotated[str | None, typer.Option(help="Who asks (default: you).")] = None,
    flow_version: Annotated[str | None, typer.Option(help="Only for cd: the registered version to deploy.")] = None,
    traffic: Annotated[int | None, typer.Option(help="Percent for the new deployment.", min=0, max=100)] = None,
    dataset: Annotated[
        str | None, typer.Option(help="For dataset and post_production: an upload, <use case>/<dataset>/<file>.")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option(help="Names the request (default: from content, commit and build).")
    ] = None,
    to_variable: Annotated[
        str | None, typer.Option(help="With --azure: hand the request on to later jobs in this output variable.")
    ] = None,
    *,
    azure: Annotated[
        bool,
        typer.Option("--azure", help="Ask as this run of Azure Pipelines: by its variables and the storage account."),
    ] = False,
    send: Annotated[bool, typer.Option("--send", help="With --azure: send the request from here.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run everything, whatever earlier chains have run already.")
    ] = False,
    no_environment: Annotated[
        bool, typer.Option("--no-environment", help="Leave out what is set in the environment: the host has its own.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask anew, even if the same was asked before.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the chain; the exit code is its outcome.")] = False,
    timeout: Annotated[float | None, typer.Option(help="With --wait: seconds until the command gives up.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask for a chain. The same content, commit and build mean the same chain: asking twice starts one.

    A use case that `validate` refuses in that environment, a selection that names no variant, and what is beyond the
    budget are refused here too, save for cd, which deploys what is registered.

    With --azure, a step of Azure Pipelines asks: commit, branch, build, pull request and requester come from the
    pipeline's predefined variables, and options win over them. It needs Storage__blobServiceUri, and with --send
    ServiceBus__fullyQualifiedNamespace, but no other setting of the azure profile; what only a workspace could tell
    (data assets, reused lines and so the budget) is for the chain to check. --to-variable NAME sets the output
    variables NAME, the message's body, and `chain`, the chain's id. A step that is tried again asks for the same chain;
    one that runs in a further attempt of its stage or job asks for a new one.
    """
    from pydantic import ValidationError

    from genaiops.cli import pipeline
    from genaiops.cli.follow import show_until_end
    from genaiops.cli.plan import Asked, refuse_what_cannot_be_prepared, refuse_what_names_nothing
    from genaiops.cli.requesting import build_request, git_state, send_request, status_of, store_bundle
    from shared.chain.messages import ChainKind, problems

    if again and request_id:
        raise WrongUsage("--again makes a new request id; it cannot go together with --request-id.")
    if (kind in UPLOADS) != (dataset is not None):
        raise WrongUsage(f"--dataset is for the kinds {' and '.join(UPLOADS)}, and they need it; this is {kind}.")
    if flow_version is not None and kind != "cd":
        raise WrongUsage(f"--flow-version is for the kind cd alone; this is {kind}.")
    _check_ways(azure=azure, send=send, to_variable=to_variable, wait=wait, as_json=as_json)
    try:
        run = (
            pipeline.read(
                os.environ,
                commit=commit,
                branch=branch,
                requester=requester,
                pull_request=pull_request,
                build_id=build_id,
            )
            if azure
            else None
        )
        wired = wiring.publishing_ports(sends=send) if azure else wiring.ports()
        folder = wiring.use_case_folder(use_case, wired.settings)
        if kind != "cd":  # which deploys what is registered, and not what lies here
            asked = Asked(ChainKind(kind), environment, variants, dataset, fresh=fresh)
            env_file = env_file_of(wired.settings) if not no_environment else None
            registered = None if no_environment or azure else wired
            found, more = problems_of(folder, [environment], wired.settings.data, env_file, registered)
            if found:
                raise Refused("\n".join(told(folder, found, more)))
            if azure:
                refuse_what_names_nothing(folder, asked, wired.settings)
            else:
                refuse_what_cannot_be_prepared(folder, asked, wired)
        bundle, stored_before = store_bundle(wired, folder)
        git = git_state(folder) if run is None else None
        request = build_request(
            bundle,
            request_id=str(uuid.uuid4()) if again else request_id,
            kind=ChainKind(kind),
            environment=environment,
            commit=run.commit if run else commit or (git.commit if git else None),
            branch=run.branch if run else branch or (git.branch if git else None),
            build_id=run.build_id if run else build_id,
            pull_request=run.pull_request if run else pull_request,
            variants=variants,
            requester=run.requester if run else requester,
            flow_version=flow_version,
            traffic=traffic,
            fresh=fresh,
            upload=dataset,
            attempt=run.attempt if run else None,
            **({"azure_devops": run.azure_devops} if run else {}),
        )
    except ValidationError as error:
        raise WrongUsage(f"The request is not valid: {problems(error)}") from error
    if azure and not as_json:
        say(f"The bundle {bundle.digest} {'is stored already' if stored_before else 'was stored'}.")
    if to_variable is not None:
        _hand_on(request, to_variable)
        return
    # A pipeline's identity that only publishes need not be let into the container of the chains.
    status = status_of(wired, request) if wait or not azure else None
    chain = send_request(wired, request)
    if not (as_json and wait):
        _say_sent(wired, chain, request, status, as_json=as_json)
    if wait:
        # Nor is it let into that of the results; and an app that has scaled to zero starts cold.
        patience = COLD_START if azure else 30.0
        code = show_until_end(wired, chain, timeout=timeout, patience=patience, as_json=as_json, counts=not azure)
        raise typer.Exit(code)


def _check_ways(*, azure: bool, send: bool, to_variable: str | None, wait: bool, as_json: bool) -> None:
    from genaiops.cli.pipeline import checked_variable

    if not azure:
        if send or to_variable is not None:
            raise WrongUsage("--send and --to-variable are for --azure; without it, submit sends by itself.")
        return
    if send == (to_variable is not None):
        raise WrongUsage("--azure needs one of --to-variable NAME, for a task that publishes, and --send.")
    if to_variable is not None:
        checked_variable(to_variable)
        if wait or as_json:
            raise WrongUsage("--to-variable sends nothing and prints for the agent: leave --wait and --json out.")


def _hand_on(request: ChainRequest, variable: str) -> None:
    from genaiops.cli.pipeline import CHAIN_VARIABLE, message_of, set_variable
    from genaiops.cli.requesting import id_of

    chain = id_of(request)
    say(f"The request for the chain {chain} is in the output variable {variable}.")
    # Past `say`, which lets no line be a logging command.
    for name, value in ((CHAIN_VARIABLE, chain), (variable, message_of(request))):
        sys.stdout.write(set_variable(name, value) + "\n")
    sys.stdout.flush()


def upload(
    file: Annotated[Path, typer.Argument(help="A dataset: .jsonl or .csv.", exists=True, dir_okay=False)],
    use_case: Annotated[str, typer.Option("--use-case", "-u", help="The use case that it belongs to.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Which of its datasets it replaces.")],
    *,
    log: Annotated[
        bool, typer.Option("--log", help="It is a production log: `submit --kind post_production` evaluates it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Upload a dataset; where the functions run, that starts a re-evaluation of the use case."""
    from shared.datasets.read import rows
    from shared.datasets.uploads import DATASETS, LOGS
    from shared.names import checked

    container = LOGS if log else DATASETS

    name = f"{checked(use_case, 'The use case')}/{checked(dataset, 'The dataset')}/{file.name}"
    count = sum(1 for _ in rows(file, file.name))  # a file that cannot be read must not reach the container
    counted = plural(count, "row")
    wired = wiring.ports()
    with file.open("rb") as stream:
        wired.blobs.write(container, name, stream)
    if as_json:
        print_json({"container": container, "blob": name, "rows": count})
    elif log:
        follow_up = f"`python -m genaiops submit {use_case} --kind post_production --dataset {name}` evaluates it."
        say(f"Uploaded {counted} as {container}/{name}. {follow_up}")
    else:
        say(f"Uploaded {counted} as {container}/{name}. `python -m genaiops status` shows the chain that it starts.")
        _say_if_nobody_listens(wired)


def _say_sent(wired: Ports, chain: str, request: ChainRequest, status: ChainStatus | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"chain": chain, "existed": status is not None, "request": request.model_dump(mode="json")})
        return
    if status is None:
        say(f"Asked for the chain {chain}")
    else:
        stands = f"has ended as {status}" if status.is_final else f"is {status.replace('_', ' ')}"
        say(f"The chain {chain} was asked for before and {stands}; --again asks for a new one.", "yellow")
    if wired.settings.azure is not None and not wired.settings.azure.workspace:  # the publisher does not know the app
        return
    say(f"  follow it:  python -m genaiops watch {chain}")
    say(f"  see it:     {wired.settings.functions_url}/api/chains/{chain}")
    if status is None or not status.is_final:
        _say_if_nobody_listens(wired)


def _say_if_nobody_listens(wired: Ports) -> None:
    from genaiops.host.lock import HomeLock

    if wired.settings.profile == "local" and not HomeLock(wired.settings.home / "host").is_taken():
        say(f"No host runs in {wired.settings.home}: this waits until `python -m genaiops start` runs.", "yellow")
