import asyncio
import os

from openai import AsyncOpenAI, OpenAI


def ask(url: str, text: str, how: str = "plainly") -> dict:
    """Ask a model as people's own code does, without prompt flow; a few words make it misbehave."""
    messages = [{"role": "system", "content": "Style: short."}, {"role": "user", "content": text}]
    question = {"model": "m", "messages": messages, "temperature": 0}
    if how == "in coroutines":
        return {"value": asyncio.run(three(url, question))}
    if how == "and leave":
        os._exit(1)
    if how == "again and again":
        while True:
            try:
                return {"value": OpenAI(base_url=url, api_key="k").chat.completions.create(**question).id}
            except Exception:
                question["temperature"] = 1
    return {"value": OpenAI(base_url=url, api_key="k").chat.completions.create(**question).choices[0].message.content}


async def three(url: str, question: dict) -> list:
    client = AsyncOpenAI(base_url=url, api_key="k")
    answers = await asyncio.gather(*(client.chat.completions.create(**question) for _ in range(3)))
    return [answer.choices[0].message.content for answer in answers]
