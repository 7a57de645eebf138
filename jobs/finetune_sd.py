"""Train a LoRA of Stable Diffusion on described panels: `mlflow run . -e finetune_sd`."""

from cloze.rendering.sd_settings import FinetuneSdSettings
from cloze.rendering.training import finetune_sd
from mlflow_projects.program import program
from mlflow_projects.render_lora import register_lora

main = program(FinetuneSdSettings, finetune_sd, after=register_lora, system_metrics=True, resumes=True)

if __name__ == "__main__":
    main()
