"""The ports in memory: for fast tests, yours too. They pass the same contract suites as the others."""
