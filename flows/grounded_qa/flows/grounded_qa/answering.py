"""Answers a question from the passages that fit it best, and names the passages that the answer rests on."""

# No `from __future__ import annotations` here: prompt flow looks at the class that annotates `model_config`, to fill in
# the connection; as a text it would not know it.

import re
from pathlib import Path
from typing import List, Optional, TypedDict

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

from history import as_text, recent_turns
from retrieval import Passage, PassageIndex, read_passages

HERE = Path(__file__).parent
PROMPTS = tuple(sorted(path.stem for path in HERE.glob("*.prompty")))
UNKNOWN = "I do not know."
LONGEST_QUESTION = 2_000  # characters; the rest is cut off
CITATION = re.compile(r"\[([\w-]{1,60})\]")


class Answer(TypedDict):
    """What the flow gives."""

    answer: str
    citations: List[str]
    context: str


class GroundedAnswers:
    """Reads and indexes the documents once; then answers question by question."""

    def __init__(
        self,
        model_config: AzureOpenAIModelConfiguration,
        prompt: str = "brief",
        top_k: int = 3,
        temperature: float = 0.0,
        max_context_characters: int = 4_000,
        max_history_turns: int = 3,
    ):
        """`prompt` names one of the .prompty files beside this file."""
        if prompt not in PROMPTS:
            raise ValueError(f"There is no prompt {prompt!r}; there are {', '.join(PROMPTS)}.")
        self._index = PassageIndex(read_passages(HERE / "documents"))
        self._prompty = Prompty.load(
            source=HERE / f"{prompt}.prompty",
            model={"configuration": model_config, "parameters": {"temperature": float(temperature)}},
        )
        self._top_k = int(top_k)
        self._max_context_characters = int(max_context_characters)
        self._max_history_turns = int(max_history_turns)

    @trace
    def __call__(self, question: str, chat_history: Optional[list] = None) -> Answer:
        """The answer, the ids that it cites, and the passages that the model was shown."""
        question = (question or "").strip()[:LONGEST_QUESTION]
        if not question:
            return {"answer": UNKNOWN, "citations": [], "context": ""}
        turns = recent_turns(chat_history, self._max_history_turns)
        passages = self._index.search(question, turns[-1][0] if turns else "", self._top_k)
        context = self._context(passages)
        # Prompty takes a text that starts with `data:image/…;path:` for an image, and would open the file that it
        # names; behind a line break it stays text.
        said = self._prompty(question=f"\n{question}\n", context=context, conversation=as_text(turns))
        answer = said.strip() if isinstance(said, str) else ""
        return {"answer": answer, "citations": list(dict.fromkeys(CITATION.findall(answer))), "context": context}

    def _context(self, passages: List[Passage]) -> str:
        """The passages as the model sees them, as many as fit."""
        texts: List[str] = []
        for text in map(str, passages):
            if sum(map(len, texts)) + len(text) > self._max_context_characters:
                break
            texts.append(text)
        return "\n\n".join(texts)
