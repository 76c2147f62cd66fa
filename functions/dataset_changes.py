"""Blob trigger on `datasets`, fed by Event Grid: a dataset was uploaded. Only name and ETag pass through the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from shared.bootstrap import ports
from shared.datasets.uploads import dataset_uploaded

if TYPE_CHECKING:
    import azurefunctions.extensions.bindings.blob as blobs
else:
    from shared.lazy import LazyModule

    blobs = LazyModule("azurefunctions.extensions.bindings.blob")

blueprint = func.Blueprint()


@blueprint.blob_trigger(
    arg_name="blob", path="datasets/{name}", connection="Storage", source=func.BlobSource.EVENT_GRID
)
def dataset_changes(blob: blobs.BlobClient) -> None:
    """Ask for a dataset chain; the same content asks for the same one."""
    dataset_uploaded(ports(), blob.blob_name, blob.get_blob_properties().etag)
