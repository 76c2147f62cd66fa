# Put your own evaluation here
import json
import os

from promptflow.core import AzureOpenAIModelConfiguration
from town_guide.flows.chat_basic.flow import ChatFlow


def words(text):
    return {word.strip(".?").lower() for word in text.split()}


def eval_use_case(
        run_name,
        data_id,
        column_mapping,
        output_path,
        azure_service={},
):
    model_config = AzureOpenAIModelConfiguration(
        azure_endpoint=os.environ.get("AZURE_OPENAI_ENDPOINT"),
        api_key=os.environ.get("AZURE_OPENAI_API_KEY"),
        azure_deployment=os.environ.get("DEPLOYMENT_NAME"),
    )
    chat_flow = ChatFlow(model_config=model_config, max_history=4)

    with open(data_id, encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    rows = []
    for line in lines:
        again = chat_flow(question=line["question"])
        shared = len(words(line["answer"]) & words(line["context"])) / len(words(line["answer"]))
        rows.append({**line, "groundedness": shared, "steady": again == line["answer"]})
    results = {
        "rows": rows,
        "metrics": {
            "groundedness": round(sum(row["groundedness"] for row in rows) / len(rows), 3),
            "steady": sum(row["steady"] for row in rows) / len(rows),
        },
        "studio_url": None,
    }
    with open(f"{output_path}/{run_name}.json", "w", encoding="utf-8") as stream:
        json.dump(results, stream)
    return results
