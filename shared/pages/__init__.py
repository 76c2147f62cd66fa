"""What every page has in common: templates, style sheet, words for states, and the headers that keep a page harmless.

The rooms that fill pages are `reporting`, `approvals` and `dashboard`; nothing here knows a chain's rules.
"""
