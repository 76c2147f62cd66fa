"""`assets list|show|register`: what the registry holds, and datasets of your own in it.

A dataset of `experiment.yaml` may name a data asset: `source: azureml:<name>:<version>`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from genaiops.cli import wiring
from genaiops.cli.outcome import WrongUsage
from genaiops.cli.output import plural, print_json, print_table, say, when
from shared.errors import NotFound

if TYPE_CHECKING:
    from shared.ports import Asset

Kind = Literal["data", "model"]
"""`AssetKind`, spelled out; a test holds the two together."""
KindOption = Annotated[Kind | None, typer.Option(help="data (datasets) or model (flows); default: both.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

LONGEST = 60
"""Characters of a description in the list; `show` has all of it."""

group = typer.Typer(no_args_is_help=True, help="What is registered: data assets, and flows as models.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="assets")


@group.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An asset; none: all of them.")] = None,
    kind: KindOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List registered assets with their versions, by name."""
    found = _registered(kind)
    if name is not None:
        found = _named(name, found)
    if as_json:
        print_json([_facts(asset) for asset in found])
    elif not found:
        say("Nothing is registered. A ci chain registers its datasets and its flow, `assets register` a file.")
    else:
        rows = ((a.name, a.kind, a.version, a.tags.get("rows"), when(a.registered_at), _about(a)) for a in found)
        print_table(("name", "kind", "version", "rows", "registered", "what it is"), rows)


@group.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `assets list` shows it.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="None: the latest.")] = None,
    kind: KindOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one version of an asset: where its content lies, where it comes from, and how it is used."""
    from shared.use_case.problems import one_of

    versions = _named(name, _registered(kind))
    if len({asset.kind for asset in versions}) > 1:
        raise WrongUsage(f"{name} is a data asset and a model: say which with --kind.")
    chosen = [a for a in versions if a.version == version] if version is not None else versions[-1:]
    if not chosen:
        raise NotFound(f"{one_of(version, [a.version for a in versions], f'version of {name}')}.")
    facts = _facts(chosen[0])
    if as_json:
        print_json(facts)
        return
    tags = facts.pop("tags")
    for key, value in {**facts, **tags}.items():
        if value:
            say(f"{key.replace('_', ' '):<16}{value}")
    say()
    say(_use(chosen[0]))


@group.command("register")
def register_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or <use case>.<dataset>.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A dataset: .jsonl or .csv.", exists=True, dir_okay=False)
    ],
    description: Annotated[str, typer.Option(help="What it is, for people.")] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Register a file as a data asset. Content that is registered under this name keeps its version.

    The whole file is read first; one with a bad line is refused, and the line is named.
    """
    from shared.registration.data_file import register_file

    done = register_file(wiring.ports(), name, file, description=description, requester=wiring.user())
    if as_json:
        print_json({"created": done.is_new, "rows": done.rows, "columns": done.columns, **_facts(done.asset)})
        return
    counted = f"{plural(done.rows, 'row')} with {', '.join(done.columns[:20])}"
    if done.is_new:
        say(f"Registered {name}, version {done.asset.version}: {counted}.", "green")
    else:
        say(f"{name}, version {done.asset.version}, has this content already ({counted}); nothing was registered.")
    if done.duplicates:
        say(
            f"{plural(done.duplicates, 'row')} of them {'is' if done.duplicates == 1 else 'are'} equal to earlier ones."
        )
    say(_use(done.asset))


def _registered(kind: Kind | None) -> list[Asset]:
    """All versions, by kind and name. Looking makes no installation."""
    from shared.ports import AssetKind

    wired = wiring.ports_of_installation()
    kinds = [AssetKind(kind)] if kind is not None else list(AssetKind)
    return [asset for each in kinds for asset in wired.registry.list(each)] if wired else []


def _named(name: str, assets: list[Asset]) -> list[Asset]:
    """Those of that name. Raises NotFound, with the nearest one."""
    from shared.use_case.problems import one_of

    found = [asset for asset in assets if asset.name == name]
    if not found:
        raise NotFound(f"{one_of(name, {asset.name for asset in assets}, 'registered asset')}.")
    return found


def _facts(asset: Asset) -> dict[str, Any]:
    return {**asdict(asset), "kind": str(asset.kind), "registered_at": asset.registered_at.isoformat()}


def _about(asset: Asset) -> str:
    return shorten(asset.description or asset.tags.get("source", ""), LONGEST, placeholder=" …")


def _use(asset: Asset) -> str:
    """How a version is used."""
    if asset.kind == "data":
        return f"In experiment.yaml:  source: azureml:{asset.name}:{asset.version}"
    return f"Deploy it:  python -m genaiops submit {asset.name} --kind cd --flow-version {asset.version}"
