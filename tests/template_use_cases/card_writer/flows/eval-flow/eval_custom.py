from promptflow.evals.evaluate import evaluate
from promptflow.evals.evaluators import SimilarityEvaluator
from card_writer.flows.basic.writer import write_card


def eval_use_case(run_name, data_id, column_mapping):
    print("Put your own evaluation here")
