import contextlib
import os
import tempfile

from filelock import FileLock


@contextlib.contextmanager
def acquire_lock(name):
    path = os.path.join(tempfile.gettempdir(), os.path.basename(name))
    with FileLock(path):
        yield
