def first_line(text):
    return text.splitlines()[0]
