"""Keys: made once, the same for every process; in clear in blobs, or wrapped by a key of Key Vault."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.wrapped_keys import WrappedKeys
from shared.adapters.blob_keys import CONTAINER, BlobKeys
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.errors import BusinessFailure, Conflict, Throttled, Transient
from shared.ports import BlobStore, Keys
from shared.ports.keys import APPROVAL_LINKS, KEY_BYTES, TASK_TOKENS
from tests.servers.certificates import Authority
from tests.servers.fixtures import with_variables
from tests.servers.identity import IdentityEndpoint
from tests.servers.key_vault import KEY_URL, VAULT, KeyVault
from tests.servers.proxy import Proxy


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[KeyVault]:
    with (
        KeyVault(authority.certificate(VAULT).server_context()) as vault,
        Proxy({VAULT: vault.port}) as proxy,
        with_variables(proxy.environment),
    ):
        yield vault


@pytest.fixture
def vault(server: KeyVault) -> KeyVault:
    """The vault as a test finds it: a key of one version, nothing forbidden."""
    server.forbidden = False
    server.disabled.clear()
    server.versions = dict([server.versions.popitem()])
    server.requests.clear()
    return server


@pytest.fixture(scope="module")
def credential(identity: IdentityEndpoint) -> ManagedIdentityCredential:
    return ManagedIdentityCredential()


Open = Callable[[BlobStore], Keys]


@pytest.fixture
def wrapped(vault: KeyVault, credential: ManagedIdentityCredential) -> Open:
    """Opens the keys as one more process of the installation would."""
    return lambda blobs: WrappedKeys(blobs, KEY_URL, credential, retries=0)


@pytest.fixture(params=["memory", "local", "wrapped"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Keys]:
    """Opens the same installation's keys, each time as a process of its own."""
    blobs = MemoryBlobStore() if request.param != "local" else FileBlobStore(tmp_path)
    open_keys: Open = request.getfixturevalue("wrapped") if request.param == "wrapped" else BlobKeys
    return lambda: open_keys(blobs)


# ---------------------------------------------------------------------------------------------------- every adapter


def test_a_key_is_32_bytes_and_the_same_for_every_process(installation: Callable[[], Keys]) -> None:
    first = installation()
    key = first.key(APPROVAL_LINKS)
    assert len(key) == KEY_BYTES
    assert first.key(APPROVAL_LINKS) == installation().key(APPROVAL_LINKS) == key


def test_each_name_has_a_key_of_its_own(installation: Callable[[], Keys]) -> None:
    keys = installation()
    assert keys.key(APPROVAL_LINKS) != keys.key(TASK_TOKENS)


def test_processes_that_begin_at_the_same_time_agree(installation: Callable[[], Keys]) -> None:
    processes = [installation() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(lambda keys: keys.key(TASK_TOKENS), processes))) == 1


# ------------------------------------------------------------------------------------------------- under Key Vault


def test_no_key_lies_in_clear_and_the_record_names_the_version_that_opens_it(wrapped: Open, vault: KeyVault) -> None:
    blobs = MemoryBlobStore()
    key = wrapped(blobs).key(TASK_TOKENS)
    content = blobs.read(CONTAINER, TASK_TOKENS)
    record = json.loads(content)
    assert (record["kid"], record["algorithm"]) == (f"{KEY_URL}/{next(iter(vault.versions))}", "RSA-OAEP-256")
    assert len(base64.b64decode(record["wrapped"])) == 256
    assert key not in content
    assert base64.b64encode(key) not in content


def test_the_vault_is_asked_once_per_process(wrapped: Open, vault: KeyVault) -> None:
    blobs = MemoryBlobStore()
    wrapped(blobs).key(TASK_TOKENS)
    assert vault.unwraps() == 0  # whoever made the key knows it
    keys = wrapped(blobs)
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(lambda _: keys.key(TASK_TOKENS), range(12)))) == 1
    assert vault.unwraps() == 1


def test_after_a_rotation_older_keys_open_and_new_ones_are_wrapped_by_the_new_version(
    wrapped: Open, vault: KeyVault
) -> None:
    blobs = MemoryBlobStore()
    key = wrapped(blobs).key(TASK_TOKENS)
    before = blobs.read(CONTAINER, TASK_TOKENS)
    version = vault.rotate()
    assert wrapped(blobs).key(TASK_TOKENS) == key
    assert blobs.read(CONTAINER, TASK_TOKENS) == before
    wrapped(blobs).key(APPROVAL_LINKS)
    assert json.loads(blobs.read(CONTAINER, APPROVAL_LINKS))["kid"].endswith(version)


def test_a_key_that_lay_in_clear_stays_the_same_and_is_wrapped(wrapped: Open) -> None:
    blobs = MemoryBlobStore()
    key = BlobKeys(blobs).key(APPROVAL_LINKS)
    assert wrapped(blobs).key(APPROVAL_LINKS) == key
    assert key not in blobs.read(CONTAINER, APPROVAL_LINKS)
    assert wrapped(blobs).key(APPROVAL_LINKS) == key


def test_processes_that_wrap_an_old_key_at_the_same_time_agree(wrapped: Open) -> None:
    blobs = MemoryBlobStore()
    key = BlobKeys(blobs).key(APPROVAL_LINKS)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: wrapped(blobs).key(APPROVAL_LINKS), range(4))) == {key}
    assert wrapped(blobs).key(APPROVAL_LINKS) == key


def test_the_key_that_another_process_wrote_first_is_the_one_that_counts(wrapped: Open) -> None:
    blobs = MemoryBlobStore()
    theirs: list[bytes] = []

    class Slow(MemoryBlobStore):
        """Another process makes the key between our look and our write."""

        def write(self, container, name, content, **conditions):  # type: ignore[no-untyped-def]
            if not theirs:
                theirs.append(wrapped(blobs).key(TASK_TOKENS))
                super().write(container, name, blobs.read(container, name))
                raise Conflict("written by another")
            return super().write(container, name, content, **conditions)

    assert wrapped(Slow()).key(TASK_TOKENS) == theirs[0]


def test_who_may_not_use_the_key_is_told_the_role_and_nothing_is_written(wrapped: Open, vault: KeyVault) -> None:
    blobs = MemoryBlobStore()
    vault.forbidden = True
    with pytest.raises(BusinessFailure, match="Key Vault Crypto User"):
        wrapped(blobs).key(TASK_TOKENS)
    assert list(blobs.list(CONTAINER)) == []
    vault.forbidden = False
    assert len(wrapped(blobs).key(TASK_TOKENS)) == KEY_BYTES


def test_a_version_that_was_purged_or_disabled_is_a_failure_that_says_so(wrapped: Open, vault: KeyVault) -> None:
    blobs = MemoryBlobStore()
    wrapped(blobs).key(TASK_TOKENS)
    (version,) = vault.versions
    vault.rotate()
    vault.disabled.add(version)
    with pytest.raises(BusinessFailure, match="disabled"):
        wrapped(blobs).key(TASK_TOKENS)
    del vault.versions[version]
    with pytest.raises(BusinessFailure, match="recover"):
        wrapped(blobs).key(TASK_TOKENS)


def test_a_vault_that_asks_for_a_pause_or_is_not_well_is_asked_again(wrapped: Open, vault: KeyVault) -> None:
    keys = wrapped(MemoryBlobStore())
    vault.fail(429, Retry_After="7")
    with pytest.raises(Throttled) as throttled:
        keys.key(TASK_TOKENS)
    assert throttled.value.retry_after == 7
    vault.fail(503)
    with pytest.raises(Transient):
        keys.key(TASK_TOKENS)
    assert len(keys.key(TASK_TOKENS)) == KEY_BYTES


def test_a_record_that_leads_to_another_vault_gets_no_token(wrapped: Open, vault: KeyVault) -> None:
    blobs = MemoryBlobStore()
    wrapped(blobs).key(TASK_TOKENS)
    record = json.loads(blobs.read(CONTAINER, TASK_TOKENS))
    for place in ("https://theirs.vault.azure.net/keys/installation", f"{KEY_URL}/x", f"https://{VAULT}/keys/other"):
        vault.requests.clear()
        record["kid"] = f"{place}/{next(iter(vault.versions))}"
        blobs.write(CONTAINER, TASK_TOKENS, json.dumps(record).encode())
        with pytest.raises(BusinessFailure, match="GENAIOPS_KEY_ENCRYPTION_KEY"):
            wrapped(blobs).key(TASK_TOKENS)
        assert vault.requests == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"x" * 40, b'{"kid": 1, "wrapped": 2}', b"\xff" * 50, b"[" * 90_000]
)
def test_a_blob_that_is_no_key_is_named(wrapped: Open, content: bytes) -> None:
    blobs = MemoryBlobStore()
    blobs.write(CONTAINER, TASK_TOKENS, content)
    with pytest.raises(BusinessFailure, match="secrets/task-token-key"):
        wrapped(blobs).key(TASK_TOKENS)


def test_who_does_not_know_the_vaults_key_is_told_the_setting_and_takes_no_record_for_a_key(wrapped: Open) -> None:
    blobs = MemoryBlobStore()
    key = wrapped(blobs).key(APPROVAL_LINKS)
    with pytest.raises(BusinessFailure, match="GENAIOPS_KEY_ENCRYPTION_KEY"):
        BlobKeys(blobs).key(APPROVAL_LINKS)
    assert wrapped(blobs).key(APPROVAL_LINKS) == key


def test_a_wrapped_text_that_was_changed_is_refused(wrapped: Open) -> None:
    blobs = MemoryBlobStore()
    wrapped(blobs).key(TASK_TOKENS)
    record = json.loads(blobs.read(CONTAINER, TASK_TOKENS))
    record["wrapped"] = base64.b64encode(bytes(256)).decode()
    blobs.write(CONTAINER, TASK_TOKENS, json.dumps(record).encode())
    with pytest.raises(BusinessFailure):
        wrapped(blobs).key(TASK_TOKENS)
