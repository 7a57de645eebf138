"""List the entry points, or write the files that are made from them: `python -m jobs [--write | --check]`."""

import sys

import click

from mlflow_projects.mlproject import ROOT, render_conda, render_mlproject
from mlflow_projects.program import programs


@click.command()
@click.option("--write", is_flag=True, help="Write MLproject and conda.yaml.")
@click.option("--check", is_flag=True, help="Fail where MLproject or conda.yaml are not what the programs say.")
def main(write: bool, check: bool) -> None:
    """List the entry points; write or check the files made from them."""
    known = programs()
    files = {ROOT / "MLproject": render_mlproject(known), ROOT / "conda.yaml": render_conda()}
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    if write:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    elif check:
        if stale:
            sys.exit(f"{', '.join(stale)}: not what the programs say; run: python -m jobs --write")
    else:
        for name, program in known.items():
            click.echo(f"{name:12} {program.help}")


if __name__ == "__main__":
    main()
