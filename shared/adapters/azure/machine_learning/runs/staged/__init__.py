"""What runs on Azure ML beside a flow: these files are copied into a run's snapshot and never imported by this program.

genaiops_entry.py   the entry of every flow without nodes: it loads the flow into its engine and aggregates
genaiops_nodes.py   what the nodes that are added to a flow of nodes do
"""
