from pathlib import Path
from typing import TypedDict

from jinja2 import Template
from llm import my_llm_tool
from promptflow.tracing import trace

BASE_DIR = Path(__file__).absolute().parent


class Result(TypedDict):
    output: str


@trace
def load_prompt(jinja2_template: str, occasion: str) -> str:
    """Fill in the template."""
    template = (BASE_DIR / jinja2_template).read_text(encoding="utf-8")
    return Template(template, trim_blocks=True, keep_trailing_newline=True).render(occasion=occasion)


@trace
def write_card(text: str = "Somebody has a birthday.", deployment_name="gpt-35-turbo") -> Result:
    """Ask the model for a card."""
    prompt = load_prompt("card.jinja2", text)
    return Result(output=my_llm_tool(prompt=prompt, deployment_name=deployment_name, max_tokens=120))


if __name__ == "__main__":
    from promptflow.tracing import start_trace

    start_trace()
    print(write_card("Ida has passed her exam."))
