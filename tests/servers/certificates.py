"""A throw-away certificate authority, so that the servers of the tests can speak TLS: tokens go over nothing else.

What trusts it is told by environment variables that the HTTP libraries read, as on a build server behind a company's
proxy; whatever was trusted before stays trusted. Keys live in a temporary folder and are worth nothing elsewhere.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme

NAMES = ("127.0.0.1", "localhost")
TRUSTING = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""Read by requests (and with it azure-core and MSAL), by OpenSSL (httpx, aiohttp, urllib) and by curl."""


@dataclass(frozen=True)
class Certificate:
    """A server's certificate with its chain, and its key, as PEM files."""

    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For servers in Python: `ssl_context=` of aiohttp, `wrap_socket` of the standard library's servers."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    """A certificate authority whose files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._issued: dict[tuple[str, ...], Certificate] = {}
        self.bundle = folder / "trusted.pem"
        """This authority with all that was trusted before: by the environment, or by certifi and the machine."""
        named = next(filter(None, map(os.environ.get, TRUSTING)), None)
        before = [Path(named)] if named else [Path(certifi.where()), *_of_the_machine()]
        trusted = [file.read_bytes() for file in before]
        self.bundle.write_bytes(b"\n".join([*trusted, self._authority.cert_pem.bytes()]))

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that let this process, or a child process, trust the authority; no proxy stands between."""
        return {**dict.fromkeys(TRUSTING, str(self.bundle)), "NO_PROXY": ",".join(NAMES), "no_proxy": ",".join(NAMES)}

    def certificate(self, *names: str) -> Certificate:
        """A server's certificate, by default for this machine's loopback names; the same names get the same one."""
        names = names or NAMES
        if names not in self._issued:
            made = self._authority.issue_cert(*names)
            place = self._folder / f"server-{len(self._issued)}"
            certificate = Certificate(place.with_suffix(".pem"), place.with_suffix(".key"))
            certificate.chain.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
            certificate.key.touch(0o600)
            certificate.key.write_bytes(made.private_key_pem.bytes())
            self._issued[names] = certificate
        return self._issued[names]


def _of_the_machine() -> list[Path]:
    """What this machine's own programs trust, a company's authority among it."""
    file = ssl.get_default_verify_paths().cafile
    return [Path(file)] if file else []
