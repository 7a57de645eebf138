"""Nouns of comics-cloze: panels, sequences, labels, models, scores. Knows nothing of MLflow, click or Slurm."""
