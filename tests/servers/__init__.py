"""Servers that tests start on loopback ports in place of cloud services, each with a docstring that says what it plays."""
