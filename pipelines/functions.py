"""Prints the names of the app's functions, sorted, one a line: what a deployment must show before it counts as done."""

from __future__ import annotations

import os


def names() -> list[str]:
    """All functions that the app registers where its settings are right."""
    os.environ["GENAIOPS_PROFILE"] = "local"  # which needs no settings
    import function_app

    return sorted(str(function.get_function_name()) for function in function_app.app.get_functions())


if __name__ == "__main__":
    print("\n".join(names()))  # noqa: T201
