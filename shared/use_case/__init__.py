"""A use case folder: reading, overlaying and validating `experiment.yaml`, and travelling as a bundle.

Every problem is named by file, line and key, and no code of a flow is run. In the order of reading:

    load.py                  the way in: a folder in one environment, or everything that is wrong with it
    top_level.py             a whole file, with misspelt keys taken for what they mean
    stray_files.py           names that look like its files and are never read
    model.py                 what it says, as values
    problems.py              problems, collected
    yaml_file.py, json_file.py, block.py, references.py    files with their lines, single keys, `${name}`

The blocks of `experiment.yaml`, and the files beside it:

    data.py                  datasets and mappings; dataset_files.py, sources.py: where their files are
    connections_block.py     connections; connection_types.py: what each type needs
    variation.py             `parameters`, `strategy`, `repeat`, `budget`; value_types.py: values that cannot be
    options.py               gates, approval
    deployment_block.py      deployment; deployment_config.py: as the template has it
    variables.py             `environment/env.yaml`; host_variables.py: what it cannot ask for
    sample_request.py        the sample request

Flows, each kind by its files:

    flow_files.py            which file describes a flow
    flow_facts.py            the way in: what a flow takes, gives and offers to vary; flow_model.py: as values
    dag.py, flex.py, prompty.py, python_evaluator.py       one reader for each kind
    dag_keys.py              keys of a DAG's file that prompt flow does not know
    code.py, signatures.py, returns.py, tools.py           Python and prompts as text
    prompty_keys.py          keys of a prompty that prompt flow does not know
    modules.py               the modules that a flow may import, and the prompties that they load
    prompt_variables.py      variables of a prompt that nothing gives a value
    asked_variables.py, init_variables.py                  the variables that a flow asks for
    init_values.py           values of `__init__`, against what its arguments are annotated with
    environment_references.py  `${<connection>.<key>}` in a flow's own variables

Content and travelling:

    content.py               what a line's result follows from, as digests; reach.py: files beyond the flow's folder
    bundle.py, members.py    zipping it; unpack.py: unpacking, trusting nothing
    opened.py                a chain's use case: unpacked and loaded once per process
"""
