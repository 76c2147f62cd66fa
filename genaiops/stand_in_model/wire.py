"""The chat completions wire format, as Azure OpenAI and OpenAI speak it: requests, answers, stream events, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genaiops.stand_in_model import tokens
from genaiops.stand_in_model.conversation import ChatMessage, Conversation, read_conversation

MODEL: Final = "stand-in (rules, not an LLM)"
"""What every answer names as its model."""


class BadRequest(Exception):
    """The request is not one that the service understands; the text says why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    text: str = ""


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class _Format(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str = "text"


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The parts of a request that change the answer; everything else is accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[_Message], Field(min_length=1, max_length=2_000)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    response_format: _Format | None = None

    @property
    def limit(self) -> int | None:
        """Tokens that an answer may have."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def choices(self) -> int:
        """Answers asked for."""
        return self.n or 1

    def conversation(self, choice: int = 0) -> Conversation:
        """What the rules answer; a further choice is the same question with another seed."""
        return read_conversation(
            [ChatMessage(message.role, message.text) for message in self.messages],
            temperature=1.0 if self.temperature is None else self.temperature,
            seed=(self.seed or 0) + choice,
            wants_json=self.response_format is not None and self.response_format.type != "text",
        )

    def shortened(self, text: str) -> tuple[str, str]:
        """The answer as far as `stop` and the token limit let it, and its finish reason."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        for stop in filter(None, stops):
            text = text.split(stop, 1)[0]
        if self.limit is None:
            return text, "stop"
        text, was_cut = tokens.cut(text, self.limit)
        return text, "length" if was_cut else "stop"

    def usage(self, answers: list[str]) -> dict[str, int]:
        """Tokens of prompt and answers."""
        prompt = tokens.count_messages(message.text for message in self.messages)
        completion = sum(map(tokens.count, answers))
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def parse(body: bytes) -> ChatRequest:
    """Read a request. Raises BadRequest, naming what is wrong."""
    try:
        value = read_json(body)
    except ValueError:
        raise BadRequest(
            "We could not parse the JSON body of your request: send a JSON object in UTF-8 with the key 'messages'."
        ) from None
    if not isinstance(value, dict):
        raise BadRequest("The body of a chat completions request must be a JSON object with the key 'messages'.")
    try:
        return ChatRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadRequest(f"Invalid value at '{'.'.join(map(str, first['loc']))}': {first['msg']}.") from None


def read_json(body: bytes) -> Any:
    """Read JSON that can be written again.

    Raises:
        ValueError: it is no JSON in UTF-8, is nested too deeply, or holds half of a character.
    """
    text = body.decode("utf-8-sig")  # json.loads would let half of a character pass as bytes
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def completion(request: ChatRequest, name: str, created: int, answers: list[str]) -> dict[str, Any]:
    """The body of an answer."""
    shortened = [request.shortened(answer) for answer in answers]
    return {
        "id": name,
        "object": "chat.completion",
        "created": created,
        "model": MODEL,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": reason,
                "logprobs": None,
            }
            for index, (text, reason) in enumerate(shortened)
        ],
        "usage": request.usage([text for text, _ in shortened]),
    }


def stream(request: ChatRequest, name: str, created: int, answers: list[str]) -> Iterator[bytes]:
    """The events of a streamed answer: a role, the text piece by piece, the finish reason, perhaps usage, `[DONE]`."""

    def event(choices: list[dict[str, Any]], **more: object) -> bytes:
        chunk = {"id": name, "object": "chat.completion.chunk", "created": created, "model": MODEL, "choices": choices}
        return b"data: " + json.dumps({**chunk, **more}, ensure_ascii=False).encode() + b"\n\n"

    def delta(index: int, content: Mapping[str, str], reason: str | None = None) -> bytes:
        return event([{"index": index, "delta": content, "finish_reason": reason, "logprobs": None}])

    shortened = [request.shortened(answer) for answer in answers]
    for index, (text, reason) in enumerate(shortened):
        yield delta(index, {"role": "assistant", "content": ""})
        for start in range(0, len(text), 16):
            yield delta(index, {"content": text[start : start + 16]})
        yield delta(index, {}, reason)
    if request.stream_options is not None and request.stream_options.include_usage:
        yield event([], usage=request.usage([text for text, _ in shortened]))
    yield b"data: [DONE]\n\n"


def error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
