"""Keys as blobs, in clear: for a home folder that nobody else may read, or a storage account whose readers are few."""

from __future__ import annotations

import secrets
from typing import Final

from shared.errors import BusinessFailure, Conflict, NotFound
from shared.ports import BlobStore
from shared.ports.keys import KEY_BYTES

CONTAINER: Final = "secrets"


class BlobKeys:
    """Keeps each key as `secrets/<name>`."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def key(self, name: str) -> bytes:
        """The key, made once by a conditional write.

        Raises:
            BusinessFailure: what lies there is no key in clear.
        """
        try:
            return self._checked(name, self._blobs.read(CONTAINER, name))
        except NotFound:
            pass
        key = secrets.token_bytes(KEY_BYTES)
        try:
            self._blobs.write(CONTAINER, name, key, if_absent=True)
        except Conflict:
            # Another process made it between our read and our write: all must use the one that stays.
            return self._checked(name, self._blobs.read(CONTAINER, name))
        return key

    @staticmethod
    def _checked(name: str, content: bytes) -> bytes:
        # The record of a wrapped key would serve as a key, too: links signed by it are good nowhere else.
        if len(content) != KEY_BYTES:
            raise BusinessFailure(
                f"The blob {CONTAINER}/{name} must hold {KEY_BYTES} bytes and holds {len(content)}. If a key of Key "
                "Vault wraps it, set GENAIOPS_KEY_ENCRYPTION_KEY as the other processes have it; else delete the blob, "
                "and a new key is made."
            )
        return content
