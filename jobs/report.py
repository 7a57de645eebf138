"""Draw the report of evaluated runs: `mlflow run . -e report -P runs=runs:/STUDY`."""

from cloze.reporting.report import ReportSettings, build_report
from mlflow_projects.program import program

main = program(ReportSettings, build_report)

if __name__ == "__main__":
    main()
