"""Deployment: bringing the candidate up beside the former one, testing it, shifting traffic, rolling back."""
