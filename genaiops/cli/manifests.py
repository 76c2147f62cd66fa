"""`manifests`: what a deployment applies to a Kubernetes cluster, as YAML for those who apply it by other means."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import Refused
from genaiops.cli.output import say
from genaiops.cli.use_cases import UseCaseArgument


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(manifests)


def manifests(
    use_case: UseCaseArgument,
    image: Annotated[
        list[str],
        typer.Option("--image", metavar="NAME=IMAGE[@PERCENT]", help="A version, its image and its share; repeatable."),
    ],
    environment: Annotated[str, typer.Option("--environment", "-e", help="Whose target is taken.")] = "dev",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write (default: print).")] = None,
) -> None:
    """Write the manifests of a served flow: Deployment, Service, autoscaler a version, and the route with its weights.

    The options are those of the environment's entry `kubernetes_cluster` in configs/deployment_config.json.
    """
    from ruamel.yaml import YAML

    from shared.adapters.azure.endpoints.cluster.manifests import deployment_manifests, route
    from shared.adapters.azure.endpoints.cluster.options import KIND, read
    from shared.use_case.load import load

    configured = wiring.settings()
    loaded = load(wiring.use_case_folder(use_case, configured), environment, data=configured.data)
    targets = [] if loaded.deployment is None else [each for each in loaded.deployment.targets if each.kind == KIND]
    if loaded.deployment is None or not targets:
        raise Refused(
            f"configs/deployment_config.json has no entry under {KIND!r} for the environment {environment!r}."
        )
    options = read(targets[0].options)
    versions = dict(_version(text) for text in image)
    shares = {name: share for name, (_, share) in versions.items()}
    if len(versions) == 1:
        shares = dict.fromkeys(versions, 100)
    if sum(shares.values()) != 100:
        raise Refused(f"The shares of {', '.join(versions)} sum to {sum(shares.values())}; they must sum to 100.")
    endpoint = loaded.deployment.endpoint
    documents = [
        manifest
        for name, (reference, _) in versions.items()
        for manifest in deployment_manifests(endpoint, name, reference, options)
    ]
    documents.append(route(endpoint, versions, shares, options))
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 4_096
    text = io.StringIO()
    writer.dump_all(documents, text)
    if output is None:
        typer.echo(text.getvalue(), nl=False)
        return
    output.write_text(text.getvalue(), encoding="utf-8")
    say(f"{output} holds {len(documents)} manifests: kubectl apply --server-side -f {output}")


def _version(text: str) -> tuple[str, tuple[str, int]]:
    """`v1=registry/flow:1`, or with its share: `v1=registry/flow:1@90`."""
    name, _, rest = text.partition("=")
    reference, _, share = rest.rpartition("@") if _has_share(rest) else (rest, "", "0")
    if not name or not reference:
        raise Refused(
            f"--image {text!r} must be NAME=IMAGE or NAME=IMAGE@PERCENT, such as v2=r.azurecr.io/triage:2@10."
        )
    return name, (reference, int(share))


def _has_share(rest: str) -> bool:
    share = rest.rpartition("@")[2]
    return "@" in rest and share.isdigit() and int(share) <= 100
