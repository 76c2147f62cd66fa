"""Approval by people: links that only their approver can use, the page behind them, and answers that count once.

The chain decides which answer wins; here answers are only checked, recorded and passed on.
"""
