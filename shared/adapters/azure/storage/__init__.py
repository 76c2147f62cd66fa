"""What the blob store does with one storage account: the service's client, streams, appending, links."""
