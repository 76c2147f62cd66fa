"""Reports: one self-contained HTML page and CSV files per chain, built from what the runs left behind."""
