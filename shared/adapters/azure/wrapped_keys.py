"""Keys as blobs, wrapped by a key that never leaves Key Vault: who reads the storage account alone can open none.

At first use 32 random bytes are made, wrapped by the vault key's current version, and written as `secrets/<name>` where
nothing is; later that blob is read and unwrapped by the version that it names, once per process. A rotated vault key so
wraps what is made from now on, and its older versions open what they wrapped.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.errors import translated
from shared.adapters.blob_keys import CONTAINER
from shared.errors import BusinessFailure, Conflict, NotFound, Transient
from shared.ports import BlobStore
from shared.ports.keys import KEY_BYTES

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ROLE: Final = "Key Vault Crypto User"
ALGORITHM: Final = "RSA-OAEP-256"
_ATTEMPTS: Final = 5
"""How often a blob that others write at the same time is read again."""


class WrappedKeys:
    """Keys in blobs that one key of a Key Vault opens, for several threads and processes.

    Args:
        blobs: where the wrapped keys lie.
        key_url: of the vault's key, `https://<vault>.vault.azure.net/keys/<key>`, without a version.
        credential: who asks; it needs the role Key Vault Crypto User on that key.
        retries: of a request that failed for the moment, before the error is raised.
    """

    def __init__(self, blobs: BlobStore, key_url: str, credential: TokenCredential, *, retries: int = 2) -> None:
        self._blobs = blobs
        self._key_url = key_url.rstrip("/")
        self._credential = credential
        self._options: dict[str, Any] = {
            "retry_total": retries,
            "retry_backoff_factor": 0.4,
            "connection_timeout": 5.0,
            "read_timeout": 15.0,
        }
        self._opened: dict[str, bytes] = {}
        self._lock = Lock()

    def key(self, name: str) -> bytes:
        """The key, unwrapped once.

        Raises:
            BusinessFailure: this app may not use the vault's key, the version that wrapped it is gone, or the blob is
                damaged or names a key other than the setting does.
            Throttled, Transient: call again.
        """
        # One thread asks the vault, the others wait for what it gets: a cold start handles many messages at once.
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            return self._opened[name]

    def _open(self, name: str) -> bytes:
        for _ in range(_ATTEMPTS):
            try:
                content, etag = self._blobs.read_with_etag(CONTAINER, name)
            except NotFound:
                content, etag = secrets.token_bytes(KEY_BYTES), None
            else:
                if len(content) != KEY_BYTES:
                    return self._unwrapped(name, content)
            # New, or in clear since before the vault's key was set: links and records that it made stay good.
            try:
                wrapped = self._wrapped(content)
                if etag is None:
                    self._blobs.write(CONTAINER, name, wrapped, if_absent=True)
                else:
                    self._blobs.write(CONTAINER, name, wrapped, if_match=etag)
            except Conflict:
                continue  # another process wrote it between our read and our write: all must use the one that stays
            return content
        raise Transient(f"The blob {CONTAINER}/{name} was written by others {_ATTEMPTS} times in a row.")

    def _wrapped(self, key: bytes) -> bytes:
        from azure.keyvault.keys import KeyClient
        from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

        vault, _, name = self._key_url.partition("/keys/")
        with self._asking(), KeyClient(vault, self._credential, **self._options) as client:
            current = client.get_key(name)
            with CryptographyClient(current, self._credential, **self._options) as crypto:
                # With the public half, in this process; the vault opens it with the other one.
                wrapped = crypto.wrap_key(KeyWrapAlgorithm(ALGORITHM), key).encrypted_key
        text = base64.b64encode(wrapped).decode()
        return json.dumps({"kid": current.id, "algorithm": ALGORITHM, "wrapped": text}).encode()

    def _unwrapped(self, name: str, content: bytes) -> bytes:
        from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

        kid, wrapped = self._parsed(name, content)
        with self._asking(), CryptographyClient(kid, self._credential, **self._options) as client:
            key = client.unwrap_key(KeyWrapAlgorithm(ALGORITHM), wrapped).key
        if len(key) != KEY_BYTES:
            raise self._damaged(name)
        return key

    def _parsed(self, name: str, content: bytes) -> tuple[str, bytes]:
        try:
            record = json.loads(content)
            kid, wrapped = str(record["kid"]), base64.b64decode(record["wrapped"], validate=True)
            if record["algorithm"] != ALGORITHM:
                raise self._damaged(name)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._damaged(name) from None
        # The blob must not lead this app's token to a vault of somebody else.
        if kid.rpartition("/")[0].lower() != self._key_url.lower():
            raise BusinessFailure(
                f"The blob {CONTAINER}/{name} was wrapped by {kid[:200]}, and GENAIOPS_KEY_ENCRYPTION_KEY names "
                f"{self._key_url}: set it to the key that wrapped it. Or delete the blob, and a new key is made; "
                "approval links and waiting tasks of the old one are lost."
            )
        return kid, wrapped

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with translated(f"The key {self._key_url}", role=ROLE):
                yield
        except (NotFound, Conflict) as error:
            raise BusinessFailure(
                f"{error} Does GENAIOPS_KEY_ENCRYPTION_KEY name the right key? One that was deleted can be recovered "
                "(`az keyvault key recover`)."
            ) from error
        except ValueError as error:  # the SDK's own refusals: a key before or after its time, a vault that is none
            raise BusinessFailure(f"The key {self._key_url} cannot be used: {str(error)[:300]}") from error

    def _damaged(self, name: str) -> BusinessFailure:
        return BusinessFailure(
            f"The blob {CONTAINER}/{name} is no wrapped key. Restore it, or delete it, and a new key is made; approval "
            "links and waiting tasks of the old one are lost."
        )
