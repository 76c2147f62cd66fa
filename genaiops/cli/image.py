"""`image`: the context of a container image that serves a use case's flow, and the image where Docker runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import Refused
from genaiops.cli.output import first_line, plural, print_json, say
from genaiops.cli.use_cases import JsonOption, UseCaseArgument

if TYPE_CHECKING:
    from shared.ports import DeploymentSpec
    from shared.use_case.model import UseCase

_ENGINE_S = 15.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(image)


def image(
    use_case: UseCaseArgument,
    environment: Annotated[str, typer.Option("--environment", "-e", help="Whose overlay applies.")] = "dev",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the context is written (default: image/<use case>).")
    ] = None,
    build: Annotated[
        str | None, typer.Option("--build", metavar="TAG", help="Build the image with `docker build` under this tag.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the context of an image that serves the flow, with its default variants and parameters, on any Docker host.

    The same flow gives the same files. With --build, Docker builds the image; nothing else needs it.
    """
    from shared.adapters.azure.endpoints.image_context import image_context
    from shared.adapters.azure.endpoints.images import for_platform
    from shared.connections import needed_values
    from shared.use_case.load import load

    configured = wiring.settings()
    folder = wiring.use_case_folder(use_case, configured)
    if build is not None:
        _check_engine()
    spec = for_platform(_spec(load(folder, environment, data=configured.data)))
    context = image_context(spec)
    place = output or Path("image") / spec.package
    context.write(place)
    needed = sorted({value.variable for each in spec.connection_specs for value in needed_values(each)})
    if as_json:
        print_json(
            {"folder": str(place), "digest": context.digest, "tag": context.tag, "variables": needed, "built": build}
        )
    else:
        say(f"{place} holds the context, {plural(len(context.files), 'file')}; its digest begins {context.tag}.")
    if build is not None:
        _build(build, place, quiet=as_json)
    if not as_json:
        tag = build or spec.package.replace("_", "-")
        if build is None:
            say(f"Build it:  docker build --tag {tag} {place}")
        given = "".join(f" --env {name}" for name in needed)
        say(f"Run it:    docker run --rm --read-only --tmpfs /tmp --publish 8080:8080{given} {tag}")


def _spec(use_case: UseCase) -> DeploymentSpec:
    from shared.model_connections import served_variables
    from shared.ports import DeploymentSpec

    return DeploymentSpec(
        endpoint=use_case.name,
        name="image",
        flow=use_case.flow,
        flow_digest="",
        flow_version="",
        flow_file=use_case.flow_file,
        package=use_case.name,
        root=use_case.folder,
        parameters={key: values[0] for key, values in use_case.parameters.items() if values},
        connection_specs=use_case.connections,
        environment=served_variables(use_case),
    )


def _check_engine() -> None:
    """Raise Refused unless `docker build` would find an engine: asked before anything is written."""
    instead = "Leave out --build, and build the context where Docker runs, or by `az acr build`."
    program = shutil.which("docker")
    if program is None:
        raise Refused(f"There is no `docker` on the PATH. {instead}")
    try:
        asked = subprocess.run(  # noqa: S603  # found on the PATH, like any program that a person types
            [program, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=_ENGINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"`docker version` did not answer within {_ENGINE_S:.0f} s. {instead}") from None
    if asked.returncode != 0:
        said = first_line(asked.stderr) or f"it ended with code {asked.returncode}"
        raise Refused(f"Docker has no engine to build with ({said}). {instead}")


def _build(tag: str, place: Path, *, quiet: bool) -> None:
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run(["docker", "build", "--tag", tag, str(place)], stdout=output, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise Refused(f"`docker build` ended with code {done.returncode}: its output above says why.")
    if not quiet:
        say(f"{tag} is built.", "green")
