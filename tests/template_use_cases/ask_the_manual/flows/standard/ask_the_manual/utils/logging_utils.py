import os


def log(message: str):
    if os.environ.get("VERBOSE", "false").lower() == "true":
        print(message, flush=True)
