"""The environment of child processes: what any program needs, and nothing that only this process was given."""

from __future__ import annotations

import os
from typing import Final

_INHERITED: Final = frozenset(
    # the user and the machine
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "TEMP", "TMP"}
    # what programs need on Windows
    | {"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}
    # the way to the network
    | {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    # what is installed, what libraries have downloaded, and how many threads they start
    | {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "XDG_CACHE_HOME", "HF_HOME", "NLTK_DATA", "TIKTOKEN_CACHE_DIR"}
    | {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"}
)
"""Variables that a child gets from this process. Whoever hosts us keeps secrets under names that nobody can list, so
what is not here stays here."""


def inherited_environment() -> dict[str, str]:
    """The variables of this process that a child process gets."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _INHERITED or name.upper().startswith("LC_")
    }
