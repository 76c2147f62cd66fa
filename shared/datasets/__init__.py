"""Datasets: reading JSON Lines and CSV, knowing what is in them, and mapping their columns to a flow's inputs."""
