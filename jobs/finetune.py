"""Train a LoRA adapter on the labels of one paradigm: `mlflow run . -e finetune -P paradigm=pred`."""

from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from mlflow_projects.finetuned import show_and_register
from mlflow_projects.program import program

main = program(FinetuneSettings, finetune, after=show_and_register, system_metrics=True, resumes=True, shares=True)

if __name__ == "__main__":
    main()
