"""Make a version champion if a policy holds: `mlflow run . -e promote -P adapter=models:/cloze-pred/4`."""

from mlflow_projects.program import program
from mlflow_projects.promotion import PromoteSettings, promote, tell

main = program(PromoteSettings, promote, after=tell, steps=True)

if __name__ == "__main__":
    main()
