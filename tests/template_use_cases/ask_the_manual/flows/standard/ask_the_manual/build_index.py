import os

from .constants import INDEX_DIR
from .utils.index import Index
from .utils.lock import acquire_lock
from .utils.logging_utils import log


def create_index(manual_path: str) -> str:
    size = int(os.environ["CHUNK_SIZE"])
    index_path = os.path.join(INDEX_DIR, f"{os.path.basename(manual_path)}.index_{size}.json")
    with acquire_lock(index_path + ".lock"):
        if os.path.exists(index_path):
            log("Index is there, nothing to build")
            return index_path
        with open(manual_path, encoding="utf-8") as stream:
            Index.of(stream.read(), size).save(index_path)
    return index_path
