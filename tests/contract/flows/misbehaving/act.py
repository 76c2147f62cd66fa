import ctypes
import gc
import io
import os
import signal
import sys
import threading
import time
from contextlib import redirect_stdout

from promptflow.core import tool


@tool
def act(what: str) -> object:
    kind, _, argument = what.partition(" ")
    match kind:
        case "raise":
            raise ValueError(argument)
        case "hang":
            time.sleep(3600)
        case "sleep":
            time.sleep(float(argument))
        case "hold":  # a call into C that does not let go of the interpreter
            ctypes.PyDLL(None).sleep(3600)
        case "print":
            line = "x" * 1_000_000
            for _ in range(int(argument)):
                print(line)
        case "_exit":
            print("last words", flush=True)
            os._exit(int(argument))
        case "exit":
            sys.exit(int(argument))
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "object":
            return threading.Lock()
        case "cycle":
            cycle: list = []
            cycle.append(cycle)
            return cycle
        case "nan":
            return {"score": float("nan"), "rest": [1, float("inf")]}
        case "surrogate":
            return "half a character: \ud800"
        case "capture":
            captured = io.StringIO()
            with redirect_stdout(captured):
                print(argument)
                time.sleep(0.01)
                print(argument)
            return captured.getvalue().split()
        case "environment":
            return os.environ.get(argument)
        case "pid":
            return os.getpid()
        case "where":
            return {"home": os.environ["PF_HOME_DIRECTORY"], "folder": os.getcwd()}
        case "stdin":
            return sys.stdin.read()
        case "nest":
            nested: object = "core"
            for _ in range(int(argument)):
                nested = [nested]
            return nested
        case "lose":  # the worker's own record of the line: nobody will answer it
            for run in [held for held in gc.get_objects() if type(held).__name__ == "LineRun"]:
                run._active.clear()
        case "write":  # into the pipe of the answers, in the worker's place
            worker = next(held for held in gc.get_objects() if type(held).__name__ == "LineRun")._send.__self__
            body = {"deep": b"[" * 100_000 + b"]" * 100_000, "list": b"[]", "nothing": b"{}", "text": b"no JSON"}[
                argument
            ]
            with worker._lock:
                worker._answers.write(len(body).to_bytes(4, "big") + body)
                worker._answers.flush()
            time.sleep(5)
        case "big":
            return "y" * int(argument)
    return argument
