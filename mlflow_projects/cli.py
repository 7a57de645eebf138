"""The `cloze` command, for people: looks at things and makes no run."""

import click

from mlflow_projects.commands.closed_task import closed_task
from mlflow_projects.commands.doctor import doctor
from mlflow_projects.commands.explain import explain
from mlflow_projects.commands.jobs import jobs
from mlflow_projects.commands.lineage import lineage
from mlflow_projects.commands.merge import merge
from mlflow_projects.commands.predict import predict
from mlflow_projects.commands.score import score
from mlflow_projects.commands.sql import sql


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How well do vision-language models read between the panels of a comic?"""


main.add_command(closed_task())
main.add_command(doctor())
main.add_command(explain())
main.add_command(jobs())
main.add_command(lineage())
main.add_command(merge())
main.add_command(predict())
main.add_command(score())
main.add_command(sql())

if __name__ == "__main__":
    main()
