"""A test's own Azure OpenAI: chat completions that behave as the prompt asks them to.

The user's text holds directives such as `[429 x2]`, `[500 x9]`, `[garbage]`, `[nothing]`, `[empty]`, `[slow 5]`, `[401]`,
`[usage -5]`: so each line of a dataset chooses what happens to it, whatever else runs at the same time.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from typing import Any

from tests.servers.plain_http import Handler, LoopbackServer


class ModelServer(LoopbackServer):
    """`with ModelServer() as model:` serves on `model.url` and records what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.tries: Counter[str] = Counter()
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        super().__init__(self._handler())

    def _try(self, text: str, request: dict[str, Any]) -> int:
        with self._lock:
            self.tries[text] += 1
            self.requests.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            return self.tries[text]

    def _answered(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _handler(self) -> type[Handler]:
        model = self

        class Completions(Handler):
            def do_POST(self) -> None:  # noqa: N802 - the standard library's name
                request = json.loads(self.content())
                request["key"] = self.headers.get("api-key") or self.headers.get("Authorization")
                text = request["messages"][-1]["content"]
                system = request["messages"][0]["content"]
                tried = model._try(text, request)
                if slow := re.search(r"\[slow ([\d.]+)\]", text):
                    time.sleep(float(slow[1]))
                model._answered()
                with contextlib.suppress(ConnectionError):  # the client may have given up meanwhile
                    self.respond(request, system, text, tried)

            def respond(self, request: dict[str, Any], system: str, text: str, tried: int) -> None:
                if "[nothing]" in text:
                    self.close_connection = True
                    return
                for status, times in re.findall(r"\[(\d{3})(?: x(\d+))?\]", text):
                    if tried <= int(times or 99):
                        body = json.dumps({"error": {"message": f"refused with key {request['key']}"}}).encode()
                        headers = {"Retry-After": "0.2"} if status == "429" else {"retry-after-ms": "10"}
                        self.answer(int(status), body, headers)
                        return
                if "[garbage]" in text:
                    self.answer(200, b"<html>Welcome to the proxy</html>", kind="text/html")
                elif "[broken json]" in text:
                    self.answer(200, b'{"choices": [')
                elif "[empty]" in text:
                    self.answer(200, b"{}")
                else:
                    style = system.rsplit("Style: ", 1)[-1].split(".", maxsplit=1)[0]
                    usage = re.search(r"\[usage (.+)\]", text)
                    self.answer(200, completion(f"{style} {request['temperature']} answer", usage[1] if usage else ""))

        return Completions


def completion(text: str, tokens: str = "") -> bytes:
    """A chat completion as Azure OpenAI sends it: 11 prompt tokens, 3 completion tokens; or `tokens`, which is JSON."""
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "triage-model",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}},
            ],
            "usage": {
                "prompt_tokens": json.loads(tokens or "11"),
                "completion_tokens": json.loads(tokens or "3"),
                "total_tokens": 14,
            },
        }
    ).encode()
