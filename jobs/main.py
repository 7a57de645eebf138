"""Run a study, by default the whole 2x2 on the sample: `mlflow run .`."""

from mlflow_projects.program import program
from mlflow_projects.studies import StudySettings, run_study

main = program(StudySettings, run_study, steps=True)

if __name__ == "__main__":
    main()
