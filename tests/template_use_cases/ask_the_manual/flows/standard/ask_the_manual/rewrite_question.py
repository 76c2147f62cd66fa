from jinja2 import Environment, FileSystemLoader
import os

from .utils.oai import OAIChat


def rewrite_question(question: str, history: list) -> str:
    template = Environment(loader=FileSystemLoader(os.path.dirname(os.path.abspath(__file__)))).get_template(
        "rewrite_question_prompt.md"
    )
    prompt = template.render(question=question, history=history)
    return OAIChat().generate([{"role": "user", "content": prompt}], max_tokens=100, temperature=0)
