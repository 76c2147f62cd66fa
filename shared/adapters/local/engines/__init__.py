"""What runs flows: one engine is prompt flow, the other is plain Python that imports nothing of it.

A worker process and a served process load one flow into one engine and use it through one contract, so that what was
evaluated is what is deployed, and so that code flows stay runnable when prompt flow has gone.

    contract.py              what an engine is asked for
    kinds.py                 which kind of flow a folder holds
    load.py                  the engine for it, in a process made ready for flow code
    environment.py           the environment of such a process

The engines:

    promptflow_dag.py        DAGs, by prompt flow's executor; dag.py applies variants and parameters
    promptflow_prompty.py    prompties
    code.py                  functions and classes, as plain Python; init.py: a class's arguments
    evaluators.py            `eval_*.py` without a flow file; whole_run.py: functions called once for all lines

What they share:

    signature.py, parameters.py   a function's inputs; a flow's parameters
    connections.py                connections as prompt flow or a client class takes them
    modules.py                    importing a flow's modules by their own names
    results.py, kept.py           what a line returns; what an aggregation needs of it
    metrics.py, reasons.py        metrics; what went wrong, in one sentence
    model_errors.py               whether it was the model that failed

What is changed around flow code:

    isolation.py                  one `sys.stdout`, one metric logger per line or run instead of per process
    scheduling.py                 no threads for nodes with nothing beside them
    after_import.py               acting on a module when somebody imports it
    promptflow_hooks.py           connections and model calls in prompt flow and in the openai client
    lean_import.py                importing of prompt flow what runs a flow, and no more
"""

from shared.adapters.local.engines.kinds import needs_promptflow

__all__ = ["needs_promptflow"]
