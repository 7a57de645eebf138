"""Make the miniature base from single-panel captions of the sample: `mlflow run . -e pretrain`."""

from cloze.model.pretraining import PretrainSettings, pretrain
from mlflow_projects.program import program

main = program(PretrainSettings, pretrain, system_metrics=True)

if __name__ == "__main__":
    main()
