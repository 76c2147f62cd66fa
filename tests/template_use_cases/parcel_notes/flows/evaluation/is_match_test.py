from match import match

assert match([], [])
