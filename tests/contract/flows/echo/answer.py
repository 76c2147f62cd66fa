import os
import signal
import subprocess
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
    if text == "spawn":
        return str(subprocess.Popen(["sleep", "600"]).pid)
    if text == "print":
        # As a library in C would, past prompt flow, which keeps what Python prints.
        for _ in range(200):
            os.write(1, b"0123456789" * 10_000)
    if text.startswith("environment "):
        return os.environ.get(text.removeprefix("environment "), "")
    return prefix + (text.upper() if style == "loud" else text)
