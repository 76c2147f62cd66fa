import json
import os


class Piece:
    def __init__(self, text):
        self.text = text


class Index:
    def __init__(self, texts):
        self.texts = texts

    @classmethod
    def of(cls, text, size):
        return cls([part.strip()[:size] for part in text.split("\n\n") if not part.startswith("#")])

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as stream:
            return cls(json.load(stream))

    def save(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(self.texts, stream)

    def query(self, question, top):
        asked = {word.strip("?").lower()[:5] for word in question.split()}
        ranked = sorted(self.texts, key=lambda text: -len(asked & {word.strip(".,").lower()[:5] for word in text.split()}))
        return [Piece(text) for text in ranked[:top]]
