"""How a program becomes an MLflow run: options, tracking, missing inputs, reuse, studies."""
