"""Label sequences under one paradigm: `mlflow run . -e label -P paradigm=descp`."""

from cloze.labels.world import LabelSettings, label
from mlflow_projects.program import program

main = program(LabelSettings, label)

if __name__ == "__main__":
    main()
