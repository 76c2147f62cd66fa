"""Measurements that print their own figures, each a command of its own."""
