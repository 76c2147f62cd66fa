"""Who may ask a server of this machine: whoever uses this machine's name and is sent by no other site.

A browser on this machine reaches its servers for any page that it shows. A foreign name that resolves to 127.0.0.1 (DNS
rebinding) is seen in the Host header, a request that another site makes in Sec-Fetch-Site.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OWN_SITE: Final = ("none", "same-origin")


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case and without the port; None where it is no name."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # an open bracket
        return None


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine."""
    return host_name(host) in NAMES


def from_another_site(fetch_site: str | None) -> bool:
    """Whether a browser says, in Sec-Fetch-Site, that another site made it send this; other clients say nothing."""
    return fetch_site is not None and fetch_site not in _OWN_SITE


def refusal(host: str, fetch_site: str | None, origin: str | None = None) -> str:
    """Why a request must not be answered, for the one who sent it; empty: it may be.

    Args:
        host: the Host header; empty where there is none.
        fetch_site: the Sec-Fetch-Site header, which only browsers send.
        origin: the Origin header, which browsers too old for the former send when a page posts something.
    """
    if not is_loopback(host):
        return "This server answers under 127.0.0.1 and localhost only: ask for it under one of these names."
    is_foreign = origin is not None and not is_loopback(origin.partition("://")[2])
    if is_foreign or from_another_site(fetch_site):
        return "This server answers no request that another site makes a browser send."
    return ""
