"""The `cloze` command, for people: looks at things and makes no run."""

import click

from mlflow_projects.commands.doctor import doctor


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How well do vision-language models read between the panels of a comic?"""


main.add_command(doctor())

if __name__ == "__main__":
    main()
