"""A use case folder: reading, overlaying and validating `experiment.yaml`, and travelling as a bundle.

Every problem is named by file, line and key.
"""
