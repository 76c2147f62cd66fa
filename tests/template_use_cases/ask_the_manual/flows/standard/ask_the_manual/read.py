import os

from .constants import MANUALS_DIR
from .utils.logging_utils import log


def read_manual(name: str) -> str:
    path = os.path.join(MANUALS_DIR, name)
    if not os.path.exists(path):
        raise FileNotFoundError(name)
    log("Found " + path)
    return path
