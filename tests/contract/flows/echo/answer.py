import os
import signal
import time

from promptflow.core import tool


@tool
def answer(text: str, style: str, prefix: str = "") -> str:
    """Echo; a few words make it misbehave as real flows do."""
    if text == "raise":
        raise ValueError("this text cannot be answered")
    if text == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("wait "):
        time.sleep(float(text.removeprefix("wait ")))
    if text.startswith("environment "):
        return os.environ.get(text.removeprefix("environment "), "")
    return prefix + (text.upper() if style == "loud" else text)
