"""Datasets: reading them line by line, and mapping their columns to the inputs of a flow.

A bad line is named by its number.
"""
