"""A class whose lines are graded and aggregated, in plain Python."""

from dataclasses import dataclass


@dataclass
class Graded:
    correct: bool
    prediction: str


class Grade:
    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, prediction: str, truth: str) -> dict:
        if truth == "unknown":
            raise ValueError("the truth of this line is unknown")
        marks = {1, 2} if truth == "a set" else [prediction]
        return {"correct": prediction == truth, "number": len(marks)}

    def __aggregate__(self, lines: list) -> dict:
        return {
            "accuracy": self.weight * sum(line.correct for line in lines) / len(lines),
            "lines": len(lines),
            "numbers": sum(line["number"] for line in lines),
            "note": "a text is no metric",
        }


class GradeAsDataclass(Grade):
    def __call__(self, prediction: str, truth: str) -> Graded:
        return Graded(prediction == truth, prediction)

    def __aggregate__(self, lines: list) -> dict:
        assert all(isinstance(line, Graded) for line in lines)
        return {"accuracy": self.weight * sum(line.correct for line in lines) / len(lines)}
