"""The context of a served flow's image: everything that `docker build`, or an ACR task, needs to build it.

Written deterministically: the same deployment gives the same bytes, so that the context's digest names the image, and
an image that exists is not built again. No secret is in it: connections and variables are resolved in the container.

    Dockerfile             from shared/adapters/serving
    requirements.txt       locked with hashes, from there, with or without prompt flow
    flow-requirements.txt  the flow's own `requirements.txt`, if it has one
    constraints.txt        … installed with the pins of this program, so that it cannot undo the lock
    app/served.json        what is served (shared/adapters/serving/manifest.py)
    app/shared/            the modules that serve it, and no others
    app/use-case/          the flow, and what of the use case it can reach
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Final

import shared
from shared.adapters.local.engines.dag import materialised_dag
from shared.adapters.local.engines.kinds import kind_of, needs_promptflow
from shared.adapters.serving import manifest
from shared.adapters.serving.manifest import Manifest
from shared.adapters.serving.sources import sources
from shared.digests import files_of, json_digest
from shared.errors import BusinessFailure
from shared.ports import DeploymentSpec
from shared.use_case import reach
from shared.use_case.flow_model import FlowKind
from shared.use_case.sources import dataset_files

PROGRAM: Final = "shared.adapters.serving.container"
USE_CASE: Final = "use-case"
DAG: Final = "served.dag.yaml"
_PROGRAM_FOLDER: Final = Path(shared.__file__).parent.parent
_SERVING: Final = _PROGRAM_FOLDER / "shared" / "adapters" / "serving"
_REQUIREMENTS: Final = "requirements.txt"
_FLOW_REQUIREMENTS: Final = """\
COPY constraints.txt flow-requirements.txt /build/
RUN ["/venv/bin/python", "-m", "pip", "install", "--constraint", "/build/constraints.txt", "--requirement", \
"/build/flow-requirements.txt"]
"""
_INERT_FOLDERS: Final = ("configs", "data", "environment", "notebooks", "tests")
"""Of a use case: what its flows open there they name in their code, and then it is taken along."""
_one_at_a_time: Final = Lock()
"""Modules are parsed for what they import, and Python 3.11 may fail to parse in two threads at once (`SystemError: AST
constructor recursion depth mismatch`, https://github.com/python/cpython/issues/106905)."""
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+(?: ; [^\\\n]+?)?)\s*\\?$", re.MULTILINE)


@dataclass(frozen=True)
class ImageContext:
    """Files of a context by their paths in it."""

    files: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over paths and contents, in hexadecimal."""
        return json_digest({name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()})

    @property
    def tag(self) -> str:
        """The image's tag: the beginning of the digest, long enough to be the only one."""
        return self.digest[:24]

    def write(self, folder: Path) -> None:
        """Write the files below a folder, which is made.

        Raises:
            BusinessFailure: something that is no context of ours lies there.
        """
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "app" / manifest.FILE).is_file():
            raise BusinessFailure(f"{folder} is not empty: name a new folder, or one that holds an image's context.")
        for stale, path in files_of(folder) if folder.is_dir() else ():
            if stale not in self.files:
                path.unlink()
        for name, content in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def archive(self) -> bytes:
        """The context as a `tar.gz`, without times and owners."""
        buffer = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def image_context(spec: DeploymentSpec) -> ImageContext:
    """The context of an image that serves the flow with its variants and parameters. Endpoint and name are not in it.

    Raises:
        BusinessFailure: the flow's folder is missing or its file is wrong, or a variant or a parameter does not exist.
        Malformed: the use case holds links or devices.
    """
    if not spec.flow.is_dir():
        raise BusinessFailure(f"Flow folder {spec.flow} does not exist: deploy the folder that holds {spec.flow_file}.")
    with _one_at_a_time:
        return _context(spec)


def _context(spec: DeploymentSpec) -> ImageContext:
    root = _root(spec)
    flow = spec.flow.resolve().relative_to(root).as_posix()
    within = f"{USE_CASE}/{flow}" if flow != "." else USE_CASE
    files = {f"app/{USE_CASE}/{name}": path.read_bytes() for name, path in _reached(spec, root).items()}
    files |= {f"app/{name}": path.read_bytes() for name, path in sources(PROGRAM).items()}
    dag = ""
    if kind_of(spec.flow, spec.flow_file) is FlowKind.DAG:
        dag = DAG
        content = materialised_dag(spec.flow, spec.variants, spec.parameters, spec.flow_file)
        files[f"app/{within}/{DAG}"] = json.dumps(content, indent=1, ensure_ascii=False).encode()
    served = Manifest(
        flow=within,
        flow_file=spec.flow_file,
        dag=dag,
        package=spec.package,
        root=USE_CASE if spec.root is not None else "",
        variants=spec.variants,
        parameters=spec.parameters,
        connections=spec.connection_specs,
        environment=spec.environment,
    )
    files[f"app/{manifest.FILE}"] = served.to_json().encode()
    return ImageContext({**files, **_installed(spec)})


def _installed(spec: DeploymentSpec) -> dict[str, bytes]:
    """The Dockerfile, and what it installs."""
    locked = "requirements-promptflow.txt" if needs_promptflow(spec.flow, spec.flow_file) else "requirements.txt"
    files = {_REQUIREMENTS: (_SERVING / locked).read_bytes()}
    own = spec.flow / _REQUIREMENTS
    if own.is_file():
        pins = _PIN.findall((_PROGRAM_FOLDER / _REQUIREMENTS).read_text(encoding="utf-8"))
        files["flow-requirements.txt"] = own.read_bytes()
        files["constraints.txt"] = "".join(f"{pin}\n" for pin in pins).encode()
    template = (_SERVING / "Dockerfile").read_text(encoding="utf-8")
    files["Dockerfile"] = template.replace(
        "{flow_requirements}\n", _FLOW_REQUIREMENTS if own.is_file() else ""
    ).encode()
    return files


def _root(spec: DeploymentSpec) -> Path:
    """The folder that becomes `use-case`: the use case's, or the flow's where it was deployed alone."""
    flow = spec.flow.resolve()
    if spec.root is None:
        return flow
    root = spec.root.resolve()
    if not flow.is_relative_to(root):
        raise BusinessFailure(f"The flow {spec.flow} does not lie in its use case's folder {spec.root}: move it there.")
    return root


def _reached(spec: DeploymentSpec, root: Path) -> dict[str, Path]:
    """Files of the use case that the flow's code can reach: its own folder, and the rest only if it leaves that.

    Told by their text: see `shared/use_case/reach.py`. Datasets are taken where the code names them.
    """
    everything = dict(files_of(root))
    flow = spec.flow.resolve()
    own = {name: path for name, path in everything.items() if path.resolve().is_relative_to(flow)}
    code = [path.read_bytes() for name, path in own.items() if name.endswith(".py")]
    texts = [path.read_bytes() for name, path in own.items() if name.endswith((".yaml", ".yml", ".json", ".prompty"))]
    leaves = any(reach.climbs(text) or _imports(spec, text) for text in code) or any(
        reach.points_upwards(text) or _imports(spec, text) for text in texts
    )
    if not leaves:
        return own
    data = dataset_files(root)
    said = b"\n".join([*code, *texts, *(path.read_bytes() for n, path in everything.items() if n.endswith(".py"))])
    return own | {
        name: path
        for name, path in everything.items()
        if path.name.encode() in said or (path.resolve() not in data and name.split("/")[0] not in _INERT_FOLDERS)
    }


def _imports(spec: DeploymentSpec, text: bytes) -> bool:
    return bool(spec.package) and reach.imports(spec.package, text)
