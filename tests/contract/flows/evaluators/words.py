WHERE = "in evaluators"
