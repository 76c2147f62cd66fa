"""Registration: datasets and flows become versions by their content, with their lineage.

The same content is never registered twice.
"""
