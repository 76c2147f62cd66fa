"""A use case with as many rows as one wants: one `llm` node or one plain function, and `eval_` functions."""

from __future__ import annotations

import json
from pathlib import Path

EXPERIMENT = """\
name: long
flow: flows/answer
connections: [aoai]
datasets:
- name: rows
  source: rows.jsonl
  mappings:
    text: "${{data.text}}"
evaluators:
- name: check
  flow: flows/check
  datasets:
  - name: rows
    mappings:
      answer: "${{run.outputs.{output}}}"
      text: "${{data.text}}"
concurrency: 40
tolerated_failures: 0
"""
DAG = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${answer.output}"}
nodes:
- name: answer
  type: llm
  source: {type: code, path: answer.jinja2}
  inputs: {deployment_name: benchmark, temperature: 0, text: "${inputs.text}"}
  connection: aoai
  api: chat
"""
PROMPT = "# system:\nClassify the ticket as billing, login or other.\n\n# user:\n{{text}}\n"
PLAIN = "def answer(text: str) -> str:\n    return text[::-1]\n"
CHECK = "def eval_answered(answer: str, text: str):\n    return {'answered': bool(answer), 'length': len(text)}\n"


def write(folder: Path, rows: int, *, plain: bool = False, changed: int = 0) -> Path:
    """Write the folder with so many rows; the first `changed` of them differ from what they would be otherwise.

    `plain`: the flow is a Python function that calls no model.
    """
    flow, check, data = folder / "flows" / "answer", folder / "flows" / "check", folder / "data"
    for each in (flow, check, data):
        each.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.yaml").write_text(EXPERIMENT.format(output="output" if plain else "answer"))
    if plain:
        (flow / "flow.flex.yaml").write_text("entry: answer:answer\n")
        (flow / "answer.py").write_text(PLAIN)
    else:
        (flow / "flow.dag.yaml").write_text(DAG)
        (flow / "answer.jinja2").write_text(PROMPT)
    (check / "eval_answers.py").write_text(CHECK)
    with (data / "rows.jsonl").open("w") as stream:
        for number in range(rows):
            text = f"Ticket {number}: I was charged twice, and the page says that my card is gone."
            stream.write(json.dumps({"text": f"{text} Please, {changed}." if number < changed else text}) + "\n")
    return folder
