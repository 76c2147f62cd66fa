def describe(words):
    return f"{len(words)} words are wanted"
