import os

from dotenv import load_dotenv
from promptflow.tracing import trace


def get_client():
    if os.environ.get("OPENAI_API_KEY", ""):
        from openai import OpenAI

        return OpenAI()
    from openai import AzureOpenAI

    return AzureOpenAI(api_version=os.environ.get("OPENAI_API_VERSION", "2023-07-01-preview"))


@trace
def my_llm_tool(
    prompt: str,
    deployment_name: str,
    max_tokens: int = 120,
    temperature: float = 1.0,
) -> str:
    if "OPENAI_API_KEY" not in os.environ and "AZURE_OPENAI_API_KEY" not in os.environ:
        load_dotenv()

    if "OPENAI_API_KEY" not in os.environ and "AZURE_OPENAI_API_KEY" not in os.environ:
        raise Exception("Set OPENAI_API_KEY or AZURE_OPENAI_API_KEY")
    response = get_client().chat.completions.create(
        messages=[{"content": prompt, "role": "system"}],
        model=deployment_name,
        max_tokens=int(max_tokens),
        temperature=float(temperature),
        n=1,
    )
    return response.choices[0].message.content
