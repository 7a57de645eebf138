"""Train a LoRA adapter on the labels of one paradigm: `mlflow run . -e finetune -P paradigm=pred`."""

from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from mlflow_projects.program import program
from mlflow_projects.registry import register_adapter

main = program(FinetuneSettings, finetune, after=register_adapter, trains=True)

if __name__ == "__main__":
    main()
