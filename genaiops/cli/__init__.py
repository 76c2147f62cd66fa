"""The command line: one module per group of commands, all registered in `app`.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""
