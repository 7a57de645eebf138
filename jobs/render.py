"""Draw predictions as the sixth panel: `mlflow run . -e render -P predictions=runs:/ID`."""

from cloze.rendering.render_settings import RenderSettings
from cloze.rendering.rendering import render
from mlflow_projects.program import program

main = program(RenderSettings, render)

if __name__ == "__main__":
    main()
