"""Tasks of pipelines that wait for a chain: who waits, what they are shown as it moves, how they are completed.

A pipeline's message names its task in application properties (`properties.py`). The task becomes a record whose token
is sealed (`records.py`). Whenever the chain has moved, `progress.py` looks at the chain as it is and brings its tasks
up to date: log lines, and the completion as soon as what they wait for is known (`completion.py`). Housekeeping looks
at the records that are left (`sweep.py`), so that no pipeline waits for a message that was lost.
"""
