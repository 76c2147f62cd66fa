from promptflow import tool


@tool
def concat_results(llm_score: str):
    return {"score": llm_score}
