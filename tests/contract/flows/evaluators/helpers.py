def same(left: str, right: str) -> bool:
    return left == right
