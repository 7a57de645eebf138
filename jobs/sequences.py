"""Cut panels into stories and these into sequences: `mlflow run . -e sequences -P panels=runs:/ID`."""

from cloze.data.sequences import SequenceSettings, build_sequences
from mlflow_projects.program import program

main = program(SequenceSettings, build_sequences)

if __name__ == "__main__":
    main()
