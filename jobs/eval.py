"""Score predictions against every reference: `mlflow run . -e eval -P predictions=runs:/ID`."""

from cloze.scoring.evaluation import EvalSettings, evaluate
from mlflow_projects.comparison import make_comparable
from mlflow_projects.program import program

main = program(EvalSettings, evaluate, after=make_comparable)

if __name__ == "__main__":
    main()
