"""The triggers, one module each: parse, one call into `shared`, return. Each has a `blueprint` for `function_app.py`."""
