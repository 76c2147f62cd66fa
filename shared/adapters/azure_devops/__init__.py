"""The port Pipelines on Azure DevOps, over its REST API; the same under both profiles.

A task that waits is answered with the token that came with it and with nothing else; pull requests and runs are
written as the app's identity. Nothing is ever sent to an address that GENAIOPS_AZURE_DEVOPS does not name.

| file | what is in it |
|---|---|
| `adapter.py` | the port, put together from the rooms below |
| `addresses.py` | the allow-list: which addresses are those of the organisations |
| `client.py`, `answers.py` | requests, bounded in size and time; what an answer means for the message at hand |
| `tasks.py` | a task that waits: live log, the log that stays, summary, completion |
| `pull_requests.py` | whether a pull request can still be written to; its statuses |
| `threads.py`, `thread_records.py` | its comment thread; the record by which only one is ever made |
| `runs.py` | tags of a pipeline's run |
"""

from shared.adapters.azure_devops.adapter import AzureDevOpsPipelines

__all__ = ["AzureDevOpsPipelines"]
