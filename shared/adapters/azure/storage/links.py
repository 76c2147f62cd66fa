"""Short-lived addresses of single blobs, signed with a key that the service gives to this identity: no account key.

The key is asked for once and signs many addresses; an address never lives longer than its key:
https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from shared.adapters.azure.storage.service import BlobService

if TYPE_CHECKING:
    from azure.storage.blob import UserDelegationKey

LONGEST: Final = timedelta(hours=1)
"""Of an address: who holds it needs nothing else."""
KEY_LIFE: Final = timedelta(hours=6)
"""The service allows 7 days; a key that leaks should not."""
SKEW: Final = timedelta(minutes=15)
"""Clocks differ: what begins now has begun a while ago."""


class Links:
    """Signs addresses for one storage account, for several threads."""

    def __init__(self, service: BlobService) -> None:
        self._service = service
        self._lock = Lock()
        self._key: UserDelegationKey | None = None
        self._key_ends = datetime.min.replace(tzinfo=UTC)

    def link(self, container: str, name: str, valid_for: timedelta) -> str:
        """An https address that reads this blob for that time, at most `LONGEST`. Raises what the SDK raises."""
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        now = datetime.now(UTC)
        ends = now + min(valid_for, LONGEST)
        blob = self._service.blob(container, name)
        signature = generate_blob_sas(
            str(blob.account_name),
            container,
            name,
            user_delegation_key=self._key_until(now, ends),
            permission=BlobSasPermissions(read=True),
            start=now - SKEW,
            expiry=ends,
            protocol="https",
            # As a file: a page that is opened from the storage account would run without our content security policy.
            content_disposition=f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
        )
        return f"{blob.url}{'&' if urlsplit(blob.url).query else '?'}{signature}"

    def _key_until(self, now: datetime, ends: datetime) -> UserDelegationKey:
        with self._lock:
            if self._key is None or self._key_ends < ends + SKEW:
                key_ends = now + KEY_LIFE
                self._key = self._service.client.get_user_delegation_key(now - SKEW, key_ends)
                self._key_ends = key_ends  # only then: a request that failed gave no key that lives as long
            return self._key
