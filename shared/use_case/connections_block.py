"""The block `connections` of `experiment.yaml`: which connections there are and what describes them.

Keys are never in it: a value that is secret is a reference to a variable.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.use_case.block import Block
from shared.use_case.model import ConnectionSpec


def connections(block: Block, used: Mapping[str, Block]) -> tuple[ConnectionSpec, ...]:
    """`connections`: their names; `used` are those of the flows' nodes, with the block that names each flow.

    Without the block, the connections are those that the flows use.
    """
    if block.value is None:
        return tuple(ConnectionSpec(name) for name in sorted(used))
    names: list[str] = []
    for item in block.items():
        if isinstance(item.value, str):
            name = Block(item.document, item.path, {"name": item.value}, item.problems).name("name")
        elif item.mapping() is None:
            continue
        else:
            name = item.name("name", required=True)
            _no_secrets(item)
        if name in names:
            item.problem(f"the connection {name!r} is there twice; remove one")
        elif name:
            names.append(name)
    for name, flow in used.items():
        if name not in names:
            flow.problem(f"a node of this flow uses the connection {name!r}, which `connections` does not list")
    return tuple(ConnectionSpec(name) for name in names)


def _no_secrets(item: Block) -> None:
    """A key in a file would travel in every bundle: only references such as `${api_key}` may stand there."""
    secrets = item.value.get("secrets")
    places: list[tuple[tuple[str, ...], object]] = [(("api_key",), item.value.get("api_key"))]
    if isinstance(secrets, dict):
        places += [(("secrets", str(key)), value) for key, value in secrets.items()]
    for keys, value in places:
        text = str(value or "").strip()
        if text and not (text.startswith(("${", "<")) and text.endswith(("}", ">"))):
            item.problem("holds a secret in clear; write ${api_key} here and put the key into `.env`", *keys)
