"""Make the sample's miniature Stable Diffusion from nothing: `mlflow run . -e pretrain_sd`."""

from cloze.rendering.pretraining import PretrainSdSettings, pretrain_sd
from mlflow_projects.program import program

main = program(PretrainSdSettings, pretrain_sd, system_metrics=True)

if __name__ == "__main__":
    main()
