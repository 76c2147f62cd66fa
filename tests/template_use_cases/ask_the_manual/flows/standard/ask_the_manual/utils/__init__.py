__all__ = ["index", "lock", "logging_utils", "oai"]
