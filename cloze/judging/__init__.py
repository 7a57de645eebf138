"""What a model that is given a rubric thinks of predictions."""
