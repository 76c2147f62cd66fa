"""Whatever is sent to a real host, it says what is wrong where people look, and the good chain beside it succeeds.

Everything is sent at once to one host, and one good chain with it; then each test reads what came of its own input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from genaiops.stand_in_model import start_stand_in
from shared.chain.messages import Queue
from shared.chain.state import Chain, ChainStatus
from shared.errors import InvalidName, Malformed
from shared.names import chain_id
from tests.acceptance import spoilt
from tests.acceptance.embedded import ROOT, Embedded, words

pytestmark = [pytest.mark.xdist_group("embedded-bad-input"), pytest.mark.timeout(900)]

GOOD = "good"
ELSEWHERE = "f" * 64
"""A digest that names no content at all."""

REQUESTS: dict[str, bytes] = {
    "a request of 200 KB": b" " * 200_000,
    "invalid UTF-8": b'{"request_id": "\xff\xfe"}',
    "invalid JSON": b'{"request_id": "r", ',
    "an unknown kind": b'{"request_id": "r", "kind": "cj", "use_case": "small"}',
    "an unknown key": b'{"request_id": "r", "kind": "ci", "use_case": "small", "colour": "red"}',
    "a missing key": b'{"kind": "ci", "use_case": "small"}',
    "a wrong type": b'{"request_id": 5, "kind": "ci", "use_case": "small"}',
    "a use case that is a path": b'{"request_id": "r", "kind": "ci", "use_case": "../flows/small"}',
}
UPLOADS: dict[str, tuple[str, bytes]] = {
    "a bad line": ("bad.jsonl", b'{"question": "one", "answer": "ONE"}\n{"question": "two", "answer": \n'),
    "a missing column": ("narrow.csv", b"query,answer\none,ONE\n"),
    "a column missing in one row": ("gap.jsonl", b'{"question": "one", "answer": "ONE"}\n{"answer": "TWO"}\n'),
    "no rows": ("empty.jsonl", b"\n\n"),
    "no rows but a header": ("header.csv", b"question,answer\n"),
    "bytes that are no UTF-8": ("latin.csv", "question,answer\none,ONE\nZürich,ZÜRICH\n".encode("latin-1")),
    "a BOM and CRLF": ("windows.jsonl", b'\xef\xbb\xbf{"question": "one", "answer": "ONE"}\r\n'),
    "duplicate rows": ("twice.csv", b"question,answer\none,ONE\none,ONE\ntwo,TWO\n"),
    "another dataset's name": ("other.jsonl", b'{"question": "one", "answer": "ONE"}\n'),
}
BAD_NAMES = ("small/two words/rows.jsonl", "small/fragen-ü/rows.jsonl", "small/rows.jsonl", "a/b/c/rows.jsonl")
BUNDLES = {
    "a bomb": spoilt.bomb,
    "a path that climbs out": spoilt.climbing,
    "an absolute path": spoilt.absolute,
    "a link": spoilt.link,
    "100,000 entries": spoilt.crowded,
}
MODELS: dict[str, dict[str, float]] = {
    "throttling": {"throttle-rate": 1, "retry-after-s": 0.1},
    "failing": {"error-rate": 1},
    "garbage": {"garbage-rate": 1},
    "silent": {"empty-rate": 1},
    "dropping": {"drop-rate": 1},
}
"""Connection → how the stand-in model behind it behaves."""


class Ended:
    """The host after all chains have ended. Chains go by what was sent."""

    def __init__(self, embedded: Embedded, chains: dict[str, str]) -> None:
        self.embedded = embedded
        self.chains = chains

    def chain(self, sent: str) -> Chain:
        return self.embedded.chain(self.chains[sent])

    def log(self, sent: str) -> str:
        return self.embedded.log(self.chains[sent])

    def failed(self, sent: str, said: str) -> None:
        """The chain has failed; its log and its page say why."""
        chain = self.chain(sent)
        assert chain.status is ChainStatus.FAILED, self.log(sent)
        assert said in self.log(sent)
        page = words(self.embedded.page(chain.id))
        assert said in page
        assert " ".join(chain.reason.split()) in page

    def dead_letter(self, body: bytes) -> str:
        """Why this message lies there."""
        (letter,) = [letter for letter in self.embedded.dead_letters() if letter.body == body]
        status, page = self.embedded.http(f"{self.embedded.url}/api/dashboard")
        assert status == 200
        assert " ".join(letter.description.split()) in words(page.decode()), "the dashboard says it too"
        return letter.description


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    folder = tmp_path_factory.mktemp("bad-input")
    app = folder / "app"
    (app / "flows").mkdir(parents=True)
    for name in ("function_app.py", "host.json"):
        (app / name).symlink_to(ROOT / name)
    (app / "flows" / "small").symlink_to(spoilt.USE_CASES / "small")
    embedded = Embedded(folder / "home", GENAIOPS_ROOT=str(app))
    with ExitStack() as models:
        connections = []
        for name, options in MODELS.items():
            model = start_stand_in(options=options)
            models.callback(model.stop)
            connections.append(
                f"{name}={json.dumps({'api_key': 'none', 'api_base': model.url, 'api_type': 'azure'})}\n"
            )
        (embedded.home / "connections.env").write_text("".join(connections))
        embedded.start()
        try:
            embedded.until_serving()
            chains = send_everything(embedded, folder)
            embedded.approve(embedded.until_waiting(chains[GOOD]))
            for chain in chains.values():
                embedded.until_ended(chain)
            expected = len(REQUESTS) + len(BAD_NAMES)
            embedded.until(lambda: len(embedded.dead_letters()) >= expected, "all dead letters are recorded")
            yield Ended(embedded, chains)
            embedded.stop()
        finally:
            if embedded.process is not None:
                embedded.kill()
    embedded.until_no_process_is_left()


def send_everything(embedded: Embedded, folder: Path) -> dict[str, str]:
    """Returns the chains that must come of it, by what was sent."""
    chains = {}
    for number, body in enumerate(REQUESTS.values()):
        embedded.send(body, f"bad-{number}")
    for sent, fields in {
        "an unknown use case": {"use_case": "smal"},
        "an unknown environment": {"use_case": "small", "environment": "mars"},
        "an unknown variant": {"use_case": "small", "variants": "shout.louder"},
        "a bundle that is not there": {"use_case": "small", "bundle": ELSEWHERE},
    }.items():
        chains[sent] = embedded.request(request_id=sent, kind="pr", folder=None, **fields)
    good_bundle = embedded.publish(spoilt.USE_CASES / "small")
    content = embedded.ports.blobs.read("bundles", f"{good_bundle}.zip")
    wrong = embedded.publish_bytes(content, "e" * 64)
    chains["a bundle of another digest"] = embedded.request("small", "digest", "pr", bundle=wrong)
    for sent, make in BUNDLES.items():
        chains[sent] = embedded.request("small", sent, "pr", bundle=embedded.publish_bytes(make()))
    chains[GOOD] = embedded.request("small", GOOD, bundle=good_bundle)
    for sent, statements in spoilt.FLOWS.items():
        flow = spoilt.misbehaving(folder / sent, statements)
        chains[sent] = embedded.request("small", sent, "pr", folder=flow, variants="shout.loud")
    flow = spoilt.lacking_a_package(folder / "package")
    chains["lacks a package"] = embedded.request("small", "package", "pr", folder=flow, variants="shout.loud")
    for connection in MODELS:
        flow = spoilt.asking(folder / connection, connection)
        chains[connection] = embedded.request("asks_a_model", connection, "pr", folder=flow)
    for sent, (file, content) in UPLOADS.items():
        dataset = "answers" if sent == "another dataset's name" else "questions"
        chains[sent] = upload(embedded, f"small/{dataset}/{file}", content)
    for name in BAD_NAMES:
        embedded.upload(name, b'{"question": "one"}\n')
    return chains


def upload(embedded: Embedded, blob: str, content: bytes) -> str:
    """Upload; returns the chain that this starts."""
    etag = embedded.ports.blobs.write("datasets", blob, content)
    return chain_id("small", "dataset", hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest())


# ------------------------------------------------------------------------------------------------------ the good chain


def test_the_good_chain_beside_all_of_this_was_deployed(ended: Ended) -> None:
    chain = ended.chain(GOOD)
    assert chain.status is ChainStatus.SUCCEEDED, ended.log(GOOD)
    url = f"{ended.embedded.router_url}/small/score"
    status, body = ended.embedded.http(url, b'{"question": "still there?"}', {"Content-Type": "application/json"})
    assert (status, json.loads(body)) == (200, {"answer": "STILL THERE?"})


def test_no_message_is_left_and_no_dead_letter_was_unexpected(ended: Ended) -> None:
    embedded = ended.embedded
    embedded.until(lambda: not any(n[0] for n in embedded.messages().values()), lambda: str(embedded.messages()))
    assert len(embedded.dead_letters()) == len(REQUESTS) + len(BAD_NAMES)
    assert {letter.queue for letter in embedded.dead_letters()} == {Queue.CHAIN_REQUESTS}


# ------------------------------------------------------------------------------------------------------------ requests


def test_a_message_of_300_kb_is_refused_when_it_is_sent(ended: Ended) -> None:
    with pytest.raises(
        Malformed, match=r"300,\d+ bytes; the limit is 261,120 bytes\. Put the content into blob storage"
    ):
        ended.embedded.send(b" " * 300_000, "large")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("a request of 200 KB", "The request has 200,000 bytes; at most 65,536 are allowed"),
        ("invalid UTF-8", "Invalid JSON: invalid unicode code point"),
        ("invalid JSON", "Invalid JSON: EOF while parsing"),
        ("an unknown kind", "kind: Input should be 'pr', 'ci', 'cd', 'dataset' or 'post_production' (found 'cj')"),
        ("an unknown key", "unknown key 'colour': remove it or correct its spelling"),
        ("a missing key", "the key 'request_id' is missing"),
        ("a wrong type", "request_id: Input should be a valid string (found 5)"),
        ("a use case that is a path", "use_case: String should match pattern"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_dead_letter_that_says_why(ended: Ended, sent: str, said: str) -> None:
    assert said in ended.dead_letter(REQUESTS[sent])


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("an unknown use case", "There is no use case 'smal': the request names no bundle, and flows/ holds small."),
        ("an unknown environment", "mars"),
        ("an unknown variant", "'shout.louder'"),
        ("a bundle that is not there", f"There is no bundle {ELSEWHERE} in the container `bundles`"),
        ("a bundle of another digest", f"not {'e' * 64}: its content is not what was asked for."),
        ("a bomb", "times its size; at most 100 is allowed"),
        ("a path that climbs out", "'../outside.py' holds an empty part, `.` or `..`"),
        ("an absolute path", "'/etc/cron.d/mine' is absolute"),
        ("a link", "'data/passwd.jsonl' is a link or a device; only files are allowed"),
        ("100,000 entries", "The bundle has too many entries: at most 10,000 are allowed"),
    ],
)
def test_a_request_that_cannot_be_met_fails_its_chain_with_the_reason(ended: Ended, sent: str, said: str) -> None:
    ended.failed(sent, said)


def test_nothing_of_a_refused_bundle_was_unpacked(ended: Ended) -> None:
    home = ended.embedded.home
    assert not list(home.rglob("outside.py"))
    assert not list(home.rglob("passwd.jsonl"))
    assert not list(home.rglob("zeros.jsonl"))


# ------------------------------------------------------------------------------------------------------------ datasets


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("a bad line", "bad.jsonl, line 2: is not valid JSON"),
        ("a missing column", "narrow.csv has no column 'question', which the mapping ${data.question} of the dataset"),
        ("a column missing in one row", "gap.jsonl, line 2: has no 'question'"),
        ("no rows", "empty.jsonl has no rows: a dataset needs at least one."),
        ("no rows but a header", "header.csv has no rows: a dataset needs at least one."),
        ("bytes that are no UTF-8", "latin.csv, line 3: byte 0xfc is not UTF-8; save the file in UTF-8 encoding."),
        ("another dataset's name", "'answers'"),
    ],
)
def test_a_dataset_that_cannot_be_used_fails_its_chain_and_names_the_line(ended: Ended, sent: str, said: str) -> None:
    ended.failed(sent, said)


def test_a_byte_order_mark_and_crlf_are_read_as_if_they_were_not_there(ended: Ended) -> None:
    chain = ended.chain("a BOM and CRLF")
    assert chain.status is ChainStatus.SUCCEEDED, chain.reason
    assert "questions" in ended.log("a BOM and CRLF")


def test_duplicate_rows_are_run_and_noted(ended: Ended) -> None:
    assert ended.chain("duplicate rows").status is ChainStatus.SUCCEEDED, ended.log("duplicate rows")
    assert "questions (twice.csv): 1 of 3 rows repeat earlier ones." in ended.log("duplicate rows")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small/two words/rows.jsonl", "the upload's dataset 'two words' is not a valid name"),
        ("small/fragen-ü/rows.jsonl", "the upload's dataset 'fragen-ü' is not a valid name"),
        ("small/rows.jsonl", "The upload 'small/rows.jsonl' must be named <use case>/<dataset>/<file>."),
        ("a/b/c/rows.jsonl", "The upload 'a/b/c/rows.jsonl' must be named <use case>/<dataset>/<file>."),
    ],
)
def test_an_upload_under_a_name_that_says_nothing_is_a_dead_letter(ended: Ended, name: str, said: str) -> None:
    etag = ended.embedded.ports.blobs.info("datasets", name).etag
    assert said in ended.dead_letter(json.dumps({"blob": name, "etag": etag}).encode())


def test_an_upload_that_climbs_out_of_its_container_is_refused(ended: Ended) -> None:
    with pytest.raises(InvalidName, match=r"\.\."):
        ended.embedded.upload("small/../../secrets/key", b"mine")


# --------------------------------------------------------------------------------------------------- flows and models


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("raises", "There is no customer of that number."),
        ("hangs", "The line timed out: it took longer than 2 s."),
        ("exits", "The flow's process did not survive this line: its process ended by itself with exit code 3"),
        ("lacks a package", "imports 'frobnicate', which is not installed: add the package to the flow's requirements"),
        ("throttling", "429"),
        ("failing", "500"),
        ("garbage", "The model did not answer with a category: '%PDF-1.4"),
        ("silent", "The model answered nothing."),
        ("dropping", "Connection error"),
    ],
)
def test_a_flow_or_a_model_that_misbehaves_fails_its_chain_with_the_reason(ended: Ended, sent: str, said: str) -> None:
    ended.failed(sent, said)


def test_a_flow_that_prints_100_mb_works_and_leaves_nothing_of_it_behind(ended: Ended) -> None:
    assert ended.chain("prints").status is ChainStatus.SUCCEEDED, ended.log("prints")
    largest = max(path.stat().st_size for path in ended.embedded.home.rglob("*") if path.is_file())
    assert largest < 50 * 1024 * 1024
