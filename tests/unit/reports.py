"""What the tests of reports share: building one from sample results, and reading its files."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

from shared import reporting
from shared.chain.state import Chain
from shared.ports import Ports
from tests import samples


class Structure(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def structure(html: str) -> Structure:
    parser = Structure()
    parser.feed(html)
    return parser


def build(ports: Ports, chain: Chain, *, final: bool = False, outputs: tuple[str, ...] = ()) -> tuple[str, str]:
    samples.write_results(ports.blobs, chain, outputs=outputs)
    built = reporting.build(ports, chain, final=final)
    return built.evidence, ports.blobs.read("reports", built.blob).decode()


def rows(ports: Ports, chain: Chain, name: str) -> list[dict[str, str]]:
    content = ports.blobs.read("reports", f"{chain.id}/{name}").decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))
