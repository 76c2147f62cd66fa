"""Experimentation: the run matrix, its preparation, and running one cell of it.

A cell is one dataset with one choice of variants and parameters.
"""
