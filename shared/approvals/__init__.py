"""Approvals: signed, expiring, single-use links, the page behind them, and who decided what and when."""
