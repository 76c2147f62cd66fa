WHERE = "in code"
