"""With an aggregation of its own."""


async def eval_loud(prediction: str) -> bool:
    return prediction.isupper()


def aggregate(lines: list) -> dict:
    return {"loudest": max(line.loud for line in lines), "heard": len(lines)}
