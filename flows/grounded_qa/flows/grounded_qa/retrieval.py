"""Finds the passages of the documents that fit a question: documents are split once, then searched by BM25."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

K1 = 1.2  # how soon a word that comes again stops to count
B = 0.75  # how much a long passage is held back
LONGEST = 700  # characters of a passage's text: a longer section becomes several passages
WORD = re.compile(r"[^\W_]+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Passage:
    """One section of a document, or a part of it."""

    id: str
    """`<document>-<number>`, from 1."""
    document: str
    heading: str
    text: str

    def __str__(self) -> str:
        return f"[{self.id}] {self.heading}\n{self.text}"


def read_passages(folder: Path) -> list[Passage]:
    """The passages of every Markdown file in `folder`, in the order of their names."""
    return [passage for path in sorted(folder.glob("*.md")) for passage in split(path.stem, path.read_text("utf-8"))]


def split(document: str, markdown: str) -> list[Passage]:
    """One passage a section (`## …`), or several where it is long; each knows the headings above it."""
    title, parts = document, []
    for block in re.split(r"^(?=#{1,2} )", markdown, flags=re.MULTILINE):
        heading, _, text = block.strip().partition("\n")
        if heading.startswith("# "):
            title, heading = heading[2:].strip(), ""
        above = f"{title}: {heading[3:].strip()}" if heading.startswith("## ") else title
        parts += [(above, part) for part in _parts(" ".join(text.split()))]
    return [Passage(f"{document}-{number}", document, *part) for number, part in enumerate(parts, 1)]


def _parts(text: str) -> list[str]:
    """Whole sentences, as many as fit into a passage."""
    parts: list[str] = []
    for sentence in SENTENCE_END.split(text) if text else []:
        if parts and len(parts[-1]) + len(sentence) < LONGEST:
            parts[-1] += f" {sentence}"
        else:
            parts.append(sentence[:LONGEST])
    return parts


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without a plural's `s`."""
    found = WORD.findall(text.lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]


class PassageIndex:
    """The passages with what each word says about each of them: a search only adds up."""

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages
        counts = [Counter(words(f"{passage.heading} {passage.text}")) for passage in passages]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        holders = Counter(word for count in counts for word in count)
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, (count, length) in enumerate(zip(counts, lengths)):
            for word, times in count.items():
                rarity = math.log(1 + (len(passages) - holders[word] + 0.5) / (holders[word] + 0.5))
                weight = rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * length / mean))
                self._weights[word].append((number, weight))

    def search(self, question: str, earlier: str = "", top_k: int = 3) -> list[Passage]:
        """The `top_k` best passages, the best first; words of an `earlier` question count half, if they are new."""
        scores: dict[int, float] = defaultdict(float)
        asked = dict.fromkeys(words(earlier), 0.5) | dict.fromkeys(words(question), 1.0)
        for word, share in asked.items():
            for number, weight in self._weights.get(word, ()):
                scores[number] += share * weight
        best = sorted(scores, key=lambda number: (-scores[number], number))
        return [self.passages[number] for number in best[: max(top_k, 0)]]
