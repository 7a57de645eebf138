"""Read the lettering of panels that have no text: `mlflow run . -e ocr -P comics=FOLDER`."""

from cloze.labels.reading import OcrSettings, read_panels
from mlflow_projects.program import program

main = program(OcrSettings, read_panels)

if __name__ == "__main__":
    main()
