def normalised(text: str) -> str:
    return " ".join(text.split()).lower()
