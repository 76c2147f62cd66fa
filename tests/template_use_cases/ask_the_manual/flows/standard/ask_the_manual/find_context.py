import os

from jinja2 import Environment, FileSystemLoader

from .utils.index import Index
from .utils.logging_utils import log


def find_context(question: str, index_path: str):
    pieces = Index.load(index_path).query(question, top=1)
    template = Environment(loader=FileSystemLoader(os.path.dirname(os.path.abspath(__file__)))).get_template("qna_prompt.md")
    limit = int(os.environ.get("PROMPT_WORD_LIMIT"))
    prompt = template.render(question=question, context="\n".join(piece.text for piece in pieces))
    log(f"{len(prompt.split())} of {limit} words")
    if len(prompt.split()) > limit:
        raise ValueError("the prompt is too long")
    return prompt, pieces
