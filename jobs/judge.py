"""Let a model grade predictions by a rubric: `mlflow run . -e judge -P predictions=runs:/ID`."""

from cloze.judging.judging import JudgeSettings, judge
from mlflow_projects.labelled import trace_requests
from mlflow_projects.program import program

main = program(JudgeSettings, judge, before=trace_requests)

if __name__ == "__main__":
    main()
