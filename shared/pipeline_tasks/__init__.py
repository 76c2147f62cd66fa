"""Tasks of pipelines that wait for a chain: who waits, what they are shown as it moves, how they are completed."""
