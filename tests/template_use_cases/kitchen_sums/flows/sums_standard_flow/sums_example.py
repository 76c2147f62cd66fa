from promptflow import tool


@tool
def prepare_example():
    return [{"question": "What are 1 and 2 altogether?", "code": "{'code': 'print(1 + 2)'}"}]
