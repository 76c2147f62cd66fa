from promptflow import tool


@tool
def line_process(groundtruth: str, prediction: str) -> int:
    try:
        return int(round(float(groundtruth), 2) == round(float(prediction), 2))
    except ValueError:
        return -1


if __name__ == "__main__":
    print(line_process("1.0", "1"))
