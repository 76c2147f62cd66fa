"""`submit` asks for a chain as a pipeline would; `upload` puts a dataset where its upload starts a re-evaluation."""

from __future__ import annotations

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
    *,
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
    """
    from pydantic import ValidationError

    from genaiops.cli.follow import show_until_end
    from genaiops.cli.plan import Asked, refuse_what_cannot_be_prepared
    from genaiops.cli.requesting import build_request, git_state, send_request
    from shared.chain.messages import ChainKind, problems

    if again and request_id:
        raise WrongUsage("--again makes a new request id; it cannot go together with --request-id.")
    if (kind in UPLOADS) != (dataset is not None):
        raise WrongUsage(f"--dataset is for the kinds {' and '.join(UPLOADS)}, and they need it; this is {kind}.")
    if flow_version is not None and kind != "cd":
        raise WrongUsage(f"--flow-version is for the kind cd alone; this is {kind}.")
    wired = wiring.ports()
    folder = wiring.use_case_folder(use_case, wired.settings)
    if kind != "cd":  # which deploys what is registered, and not what lies here
        env_file = env_file_of(wired.settings) if not no_environment else None
        found, more = problems_of(
            folder, [environment], wired.settings.data, env_file, None if no_environment else wired
        )
        if found:
            raise Refused("\n".join(told(folder, found, more)))
        refuse_what_cannot_be_prepared(
            folder, Asked(ChainKind(kind), environment, variants, dataset, fresh=fresh), wired
        )
    git = git_state(folder)
    try:
        request = build_request(
            wired,
            folder,
            request_id=str(uuid.uuid4()) if again else request_id,
            kind=ChainKind(kind),
            environment=environment,
            commit=commit or git.commit,
            branch=branch or git.branch,
            build_id=build_id,
            pull_request=pull_request,
            variants=variants,
            requester=requester,
            flow_version=flow_version,
            traffic=traffic,
            fresh=fresh,
            upload=dataset,
        )
    except ValidationError as error:
        raise WrongUsage(f"The request is not valid: {problems(error)}") from error
    chain, status = send_request(wired, request)
    if not (as_json and wait):
        _say_sent(wired, chain, request, status, as_json=as_json)
    if wait:
        raise typer.Exit(show_until_end(wired, chain, timeout=timeout, patience=30.0, as_json=as_json))


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
    say(f"  follow it:  python -m genaiops watch {chain}")
    say(f"  see it:     {wired.settings.functions_url}/api/chains/{chain}")
    if status is None or not status.is_final:
        _say_if_nobody_listens(wired)


def _say_if_nobody_listens(wired: Ports) -> None:
    from genaiops.host.lock import HomeLock

    if wired.settings.profile == "local" and not HomeLock(wired.settings.home / "host").is_taken():
        say(f"No host runs in {wired.settings.home}: this waits until `python -m genaiops start` runs.", "yellow")
