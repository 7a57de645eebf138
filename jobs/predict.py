"""Predict the sixth panel of sequences: `mlflow run . -e predict -P adapter=models:/cloze-pred/1`."""

from cloze.model.decoding import join_predictions, predict
from cloze.model.predict_settings import PredictSettings
from mlflow_projects.program import program

main = program(PredictSettings, predict, system_metrics=True, resumes=True, shard="shard", join=join_predictions)

if __name__ == "__main__":
    main()
