"""Experimentation: the run matrix, its preparation, and running one cell of it.

A cell is one dataset with one choice of variants and parameters. In the order of a chain:

    prepare.py               the way in: a use case is frozen, validated, and its run matrix stored
    assembly.py              from a use case to what a chain runs; matrix.py: as values
    choices.py               which choices of variants and parameters there are
    frozen.py, data_assets.py, inputs.py     datasets read once; data assets; what rows become
    configuration.py         the digest of what a line's result follows from; surroundings.py: the installation's part
    budget.py                refusing what would cost too much
    plan.py, estimate.py     the same, counted without running it
    supersede.py             a newer commit ends the older chain
    run.py                   one cell, or a production log, from rows to results
    reuse                    lines of earlier runs, taken instead of being run again
    tally.py, progress.py    what lines add up to; how far a run is
    cancel.py                stopping the runs of a chain that ended
"""
