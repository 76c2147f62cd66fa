"""The flow runner of the azure profile: prompt flow runs on Azure Machine Learning, submitted and never waited for.

In the order of a run:

    runner.py          the port: runs by name, each submitted once, found again by whoever looks
    starting.py        one start of a name at a time
    names.py           a run's name, as Azure ML allows it
    environment.py     the run's variables, none of them a secret
    notes.py           what is written down of a run before it is submitted, and which runs are still open
    delta.py           the lines to run, as a file
    staging.py         the folder that is uploaded: of a flow of nodes (dag.py), or of any other
    vendored.py        the engines' own code, for flows without nodes
    submission.py      what promptflow-azure is asked for: submit, cancel, the run's log
    history.py         what the workspace's services are asked for: status, metrics, where the outputs lie
    artifacts.py       the outputs in the workspace's storage, streamed
    lines.py           artifacts and the lines' file → one record per line
    outcome.py         an ended run → its outcome

`staged/` holds what runs on Azure ML beside the flow: nothing of it is imported here.
"""
