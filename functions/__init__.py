"""The triggers, one module each: parse, one call into `shared`, return; each has a `blueprint` for the FunctionApp."""
