"""Read comic files into panels: `mlflow run . -e ingest -P comics=FOLDER`."""

from cloze.data.panels import IngestSettings, ingest
from mlflow_projects.program import program

main = program(IngestSettings, ingest)

if __name__ == "__main__":
    main()
