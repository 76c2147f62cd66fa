"""The store of chains remembers what never changes, whatever other threads read meanwhile."""

from __future__ import annotations

from shared import chain_store
from shared.adapters.memory.blobs import MemoryBlobStore
from tests import samples


def test_a_preparation_is_given_to_who_asked_though_others_have_pushed_it_out_meanwhile(monkeypatch):
    blobs = MemoryBlobStore()
    chain = samples.sample_chain()
    prepared = chain_store.freeze_prepared(blobs, chain.id, samples.sample_prepared(chain))
    monkeypatch.setattr(chain_store, "REMEMBERED", 0)  # as if as many were read before this thread went on
    assert chain_store.read_prepared(blobs, chain.id) == prepared


def test_a_preparation_is_read_once():
    blobs = MemoryBlobStore()
    chain = samples.sample_chain()
    prepared = chain_store.freeze_prepared(blobs, chain.id, samples.sample_prepared(chain))
    chain_store.read_prepared(blobs, chain.id)
    blobs.delete("chains", f"{chain.id}/prepared.json")
    assert chain_store.read_prepared(blobs, chain.id) == prepared
