"""A model that does nothing but take its time: chat completions after a fixed latency, in a process of its own.

`python -m benchmarks.latency_server 200` serves on a free port of 127.0.0.1, which it prints, until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "benchmark",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "billing"}}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
    }
).encode()


async def serve(latency_s: float) -> None:
    """Serve until the standard input ends."""

    async def answer(request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        due = loop.time() + latency_s
        await request.read()
        await asyncio.sleep(due - loop.time())
        return web.Response(body=ANSWER, content_type="application/json")

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
