def as_text(value):
    return str(value)
