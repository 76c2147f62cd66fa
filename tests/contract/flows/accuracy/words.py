# Bears the same name as a module of another flow, on purpose.
def same(a: str, b: str) -> bool:
    return a.strip() == b.strip()
