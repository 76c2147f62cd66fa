"""The pure core: messages, plans, state and `decide`.

Nothing in here does I/O or knows an SDK, so that every path of a chain can be tried in memory.
"""
