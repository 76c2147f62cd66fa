"""Everything that the triggers call: the domain, the services around it, and the ports to the world.

Imports point inward, to `chain` and the models; only `bootstrap` knows the adapters. `docs/architecture.md` has a line
for each folder. The files beside them:

    advance.py               an event → a decision → messages sent: the loop that carries every chain
    perform.py               a command → work through a port → an event
    answers.py               what that work hands back
    delivery.py, envelopes.py                  a queue message as handlers get it; addressed and wrapped
    claim_check.py           messages of any size: sent, and their whole body fetched
    chain_store.py           where chains are kept; chain_index.py: which are open, which have ended
    result_store.py          where results are kept; results.py: as values
    run_events.py            Azure ML says that a run changed
    run_tags.py              which command started a cloud run
    azure_settings.py        where the resources of the azure profile are
    people_settings.py       how people and pipelines are reached: Azure DevOps, mail, a webhook, sign-in
    housekeeping.py          what a timer repairs
    dead_letters.py          messages that nobody could handle; stuck_letters.py: those that their trigger cannot take

    settings.py, env_file.py                   the environment as settings; variables of `.env`
    bootstrap.py             settings → ports
    connections.py           connections, resolved; connection_values.py: their values as they come from variables
    model_connections.py     the connections and variables that an installation gives a use case
    environment_check.py     whether it gives every one

    errors.py                the families of errors
    names.py, assets.py, digests.py, nesting.py    names, asset references, content hashes, depth of JSON
    redaction.py, secret_shapes.py                 secrets of use cases, and what shows by its shape, out of texts
    sealing.py               a secret as text that only this installation's key opens
    process_secrets.py       those of this process's own settings, out of reasons and log lines
    visible.py, loopback.py                        harmless text, who may ask a local server
    child_environment.py, lazy.py                  child processes' environment, late imports
"""
