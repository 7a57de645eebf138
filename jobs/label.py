"""Label sequences under one paradigm: `mlflow run . -e label -P paradigm=descp`."""

from cloze.labels.labelling import LabelSettings, join_labels, label
from mlflow_projects.labelled import show_labels, trace_requests
from mlflow_projects.program import program

main = program(LabelSettings, label, before=trace_requests, after=show_labels, shard="part", join=join_labels)

if __name__ == "__main__":
    main()
