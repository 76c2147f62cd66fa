"""Evaluation: running one evaluator on one run, and holding the metrics against gates and baseline."""
