"""What every registry does."""

from __future__ import annotations

import threading

import pytest

from shared.errors import InvalidName, Malformed, NotFound
from shared.ports import Asset, AssetKind, NewAsset, stages

DATA, MODEL = AssetKind.DATA, AssetKind.MODEL


def new(name: str = "tickets", content: str = "a", kind: AssetKind = DATA, **more) -> NewAsset:
    return NewAsset(kind=kind, name=name, content_hash=content * 64, blob=f"bundles/{content}", **more)


def versions(assets: list[Asset]) -> list[tuple[str, str]]:
    return [(asset.name, asset.version) for asset in assets]


def test_a_new_content_becomes_the_next_version(registry, clock):
    first, created = registry.register(new(content="a", description="40 tickets", tags={"chain": "c1"}))
    assert created
    assert first == Asset(
        kind=DATA, name="tickets", version="1", content_hash="a" * 64, blob="bundles/a",
        description="40 tickets", tags={"chain": "c1"}, registered_at=clock.now(),
    )  # fmt: skip
    second, created = registry.register(new(content="b"))
    assert (second.version, created) == ("2", True)


def test_the_same_content_is_found_and_nothing_is_registered(registry, clock):
    first, _ = registry.register(new(content="a", tags={"chain": "c1"}))
    registry.register(new(content="b"))
    clock.advance(60)
    again, created = registry.register(new(content="a", tags={"chain": "c2"}))
    assert (again, created) == (first, False)
    assert versions(registry.list(DATA)) == [("tickets", "1"), ("tickets", "2")]


def test_the_same_content_under_another_name_or_kind_is_another_asset(registry):
    for asset in (new("tickets"), new("mails"), new("tickets", kind=MODEL)):
        assert registry.register(asset)[1]
    assert versions(registry.list(DATA)) == [("mails", "1"), ("tickets", "1")]
    assert versions(registry.list(MODEL)) == [("tickets", "1")]


def test_a_content_is_found_by_its_hash(registry):
    registry.register(new(content="a"))
    second, _ = registry.register(new(content="b"))
    assert registry.find(DATA, "tickets", "b" * 64) == second
    assert registry.find(DATA, "tickets", "c" * 64) is None
    assert registry.find(MODEL, "tickets", "b" * 64) is None
    assert registry.find(DATA, "mails", "b" * 64) is None


def test_get_gives_the_latest_version_or_the_one_asked_for(registry):
    registered = [registry.register(new(content=f"{n:x}"))[0] for n in range(11)]
    assert registry.get(DATA, "tickets").version == "11"
    assert registry.get(DATA, "tickets", "2") == registered[1]


@pytest.mark.parametrize(("name", "version"), [("tickets", "2"), ("tickets", "0"), ("tickets", "01"), ("mails", None)])
def test_what_does_not_exist_is_named_in_the_error(registry, name, version):
    registry.register(new())
    with pytest.raises(NotFound, match=name):
        registry.get(DATA, name, version)
    with pytest.raises(NotFound, match=name):
        registry.tag(DATA, name, version or "1", {"a": "b"})


def test_a_list_is_ordered_by_name_and_then_by_number(registry):
    for content in "abcdefghijkl":
        registry.register(new("tickets", content))
    registry.register(new("mails"))
    assert versions(registry.list(DATA)) == [("mails", "1")] + [("tickets", str(n)) for n in range(1, 13)]
    assert versions(registry.list(DATA, "mails")) == [("mails", "1")]
    assert registry.list(DATA, "nothing") == registry.list(MODEL) == []


def test_tags_are_added_and_replaced_and_the_others_kept(registry):
    registry.register(new(tags={"chain": "c1", "stage": "dev"}))
    registry.register(new(content="b"))
    tagged = registry.tag(DATA, "tickets", "1", {"stage": "prod", "endpoint": "e"})
    assert tagged.tags == {"chain": "c1", "stage": "prod", "endpoint": "e"}
    assert registry.get(DATA, "tickets", "1") == tagged
    assert registry.get(DATA, "tickets", "2").tags == {}


def staged(registry, stage: str, kind: AssetKind = MODEL) -> list[str]:
    return [asset.version for asset in registry.list(kind, "tickets") if stage in stages(asset.tags)]


def test_a_stage_moves_to_the_version_that_is_promoted_and_leaves_the_other_stages_alone(registry):
    for content in "abc":
        registry.register(new(content=content, kind=MODEL, tags={"chain": content}))
    registry.promote(MODEL, "tickets", "1", "test")
    registry.promote(MODEL, "tickets", "1", "prod")
    assert registry.get(MODEL, "tickets", "1").tags == {"chain": "a", "stage": "prod,test"}
    registry.promote(MODEL, "tickets", "3", "prod")
    assert (staged(registry, "prod"), staged(registry, "test")) == (["3"], ["1"])
    assert [asset.tags.get("stage") for asset in registry.list(MODEL, "tickets")] == ["test", None, "prod"]
    registry.promote(MODEL, "tickets", "3", "prod")
    assert staged(registry, "prod") == ["3"]


def test_a_stage_can_be_taken_back_to_an_earlier_version_or_from_all(registry):
    for content in "ab":
        registry.register(new(content=content, kind=MODEL))
    registry.promote(MODEL, "tickets", "2", "prod")
    registry.promote(MODEL, "tickets", "1", "prod")
    assert staged(registry, "prod") == ["1"]
    registry.promote(MODEL, "tickets", None, "prod")
    assert staged(registry, "prod") == []
    registry.promote(MODEL, "nothing", None, "prod")
    assert registry.list(MODEL, "nothing") == []


def test_only_a_version_that_exists_is_promoted(registry):
    registry.register(new(kind=MODEL))
    registry.promote(MODEL, "tickets", "1", "prod")
    with pytest.raises(NotFound, match="tickets"):
        registry.promote(MODEL, "tickets", "2", "prod")
    assert staged(registry, "prod") == ["1"]


def test_stages_that_move_at_once_each_end_on_one_version(registry):
    for content in "abc":
        registry.register(new(content=content, kind=MODEL))
    moves = [(version, stage) for version in ("1", "2", "3") for stage in ("prod", "test")]
    threads = [threading.Thread(target=registry.promote, args=(MODEL, "tickets", *move)) for move in moves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(staged(registry, "prod")), len(staged(registry, "test"))) == (1, 1)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ä", "x" * 64, "a\n"])
def test_a_bad_name_is_refused(registry, name):
    with pytest.raises(InvalidName, match="not a valid asset name"):
        registry.register(new(name))
    with pytest.raises(InvalidName):
        registry.get(DATA, name)


def test_a_registration_without_a_content_hash_is_refused(registry):
    with pytest.raises(Malformed, match="no content hash"):
        registry.register(NewAsset(kind=DATA, name="tickets", content_hash="", blob="bundles/a"))


def test_registrations_at_once_give_each_content_one_version_and_each_version_one_content(registry):
    contents = "abcde"
    results: list[tuple[Asset, bool]] = []
    barrier = threading.Barrier(10)

    def register(content: str) -> None:
        barrier.wait()
        results.append(registry.register(new(content=content)))

    threads = [threading.Thread(target=register, args=(content,)) for content in contents * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    assert sorted(asset.content_hash[0] for asset, created in results if created) == list(contents)
    listed = registry.list(DATA, "tickets")
    assert [asset.version for asset in listed] == ["1", "2", "3", "4", "5"]
    assert sorted(asset.content_hash[0] for asset in listed) == list(contents)
    assert all(asset in listed for asset, _ in results)


def test_tagging_and_registering_at_once_loses_nothing(registry):
    registry.register(new())

    def tag(n: int) -> None:
        registry.tag(DATA, "tickets", "1", {f"tag{n}": str(n)})

    threads = [threading.Thread(target=tag, args=(n,)) for n in range(6)]
    threads += [threading.Thread(target=registry.register, args=(new(content=content),)) for content in "bcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get(DATA, "tickets", "1").tags == {f"tag{n}": str(n) for n in range(6)}
    assert len(registry.list(DATA)) == 4
