"""A model that does nothing but take its time: chat completions after a fixed latency, in a process of its own.

`python -m benchmarks.latency_server 200` serves on a free port of 127.0.0.1, which it prints, until its input ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys

from aiohttp import web

CATEGORIES = (b"billing", b"login", b"other")


ANSWER = (
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "benchmark",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "WORD"}}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
        }
    )
    .encode()
    .replace(b"WORD", b"%s")
)


def answer_to(request: bytes) -> bytes:
    """One of three words, the same for the same messages and temperature, whatever else the request holds."""
    asked = json.loads(request)
    what = json.dumps([asked["messages"], float(asked.get("temperature") or 0)]).encode()
    word = CATEGORIES[hashlib.sha256(what).digest()[0] % len(CATEGORIES)]
    return ANSWER % word


async def serve(latency_s: float) -> None:
    """Serve until the standard input ends."""

    async def answer(request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        due = loop.time() + latency_s
        body = answer_to(await request.read())
        await asyncio.sleep(due - loop.time())
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
