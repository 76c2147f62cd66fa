"""The allow-list: whether an address belongs to one of the organisations that GENAIOPS_AZURE_DEVOPS names.

A message may be forged, and its task's token would go to whatever address it names. So an address is read strictly, in
the one way in which every HTTP library reads it; what could be read in two ways is refused, not repaired.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from shared.people_settings import AZURE_DEVOPS

CLOUD: Final = "dev.azure.com"
LEGACY: Final = ".visualstudio.com"
SHOWN: Final = 120
"""Characters of a foreign address that an error repeats."""
_ADDRESS: Final = re.compile(
    r"https://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*)"
)
"""No user, no query, no fragment, no backslash, no white space, ASCII only: nothing that two parsers tell apart."""
_LONGEST: Final = 4_000
_ORGANISATION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?")


@dataclass(frozen=True)
class _Place:
    host: str
    port: int
    path: tuple[str, ...]

    def holds(self, other: _Place) -> bool:
        """Whether the other lies here or below."""
        return (self.host, self.port) == (other.host, other.port) and other.path[: len(self.path)] == self.path


class AllowList:
    """Addresses of organisations; those that cannot be read strictly allow nothing."""

    def __init__(self, allowed: Iterable[str]) -> None:
        named = [place for place in map(_read, allowed) if place is not None and not _is_everybodys(place)]
        self._places = tuple(dict.fromkeys([*named, *(other for place in named if (other := _other_form(place)))]))

    def refusal(self, address: str) -> str:
        """Why nothing is ever sent to this address, in one sentence; empty where it may be."""
        place = _read(address)
        if place is not None and any(allowed.holds(place) for allowed in self._places):
            return ""
        shown = f"{address[:SHOWN]!a}{'…' if len(address) > SHOWN else ''}"
        if not self._places:
            return f"{shown} is not answered: {AZURE_DEVOPS} is not set; it must be https://{CLOUD}/<organisation>."
        return f"{shown} is not answered: {AZURE_DEVOPS} names no organisation there; add it if it is yours."


def _read(address: str) -> _Place | None:
    """The address, or None where it is not a plain one."""
    found = _ADDRESS.fullmatch(address) if len(address) <= _LONGEST else None
    if found is None:
        return None
    port = int(found["port"] or 443)
    parts = found["path"].rstrip("/").split("/")[1:] if not found["path"].endswith("//") else [""]
    path = tuple(map(_decoded, parts))
    if port > 65_535 or not all(path):
        return None
    host = found["host"].lower()
    # An organisation's name has no case; everywhere else a path means what it says.
    if host == CLOUD and path:
        path = (path[0].lower(), *path[1:])
    return _Place(host, port, path)


def _decoded(part: str) -> str:
    """One segment of a path as the server reads it; empty where it could be read as another path."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        return ""
    text = unquote(part, errors="replace")
    # A slash, a dot segment (`..;x` is one for some, `.. ` for others) or a second layer of encoding: a proxy and the
    # server may disagree about these.
    is_plain = text.partition(";")[0].strip(". ") != "" and text.isprintable() and not set(text) & set("/\\%?#\ufffd")
    return text if is_plain else ""


def _is_everybodys(place: _Place) -> bool:
    """Whether it would let in all organisations that there are."""
    return (place.host == CLOUD and not place.path) or place.host == LEGACY[1:]


def _other_form(place: _Place) -> _Place | None:
    """The same organisation under its other address: `https://<organisation>.visualstudio.com` is the older one.

    Both serve every organisation:
    https://learn.microsoft.com/azure/devops/release-notes/2018/sep-10-azure-devops-launch.
    """
    if place.port != 443:
        return None
    if place.host == CLOUD and place.path and _ORGANISATION.fullmatch(place.path[0]):
        return _Place(f"{place.path[0].lower()}{LEGACY}", 443, place.path[1:])
    organisation = place.host.removesuffix(LEGACY)
    if place.host.endswith(LEGACY) and _ORGANISATION.fullmatch(organisation):
        return _Place(CLOUD, 443, (organisation, *place.path))
    return None
