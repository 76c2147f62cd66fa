"""The dashboard: pages over chains, approvals, dead letters and endpoints; they only read."""
