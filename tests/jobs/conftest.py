"""A tiny base with its tables, and a real tracking store."""

from tests.cloze.model.conftest import base_folder, tables
from tests.mlflow_projects.conftest import store, store_uri

__all__ = ["base_folder", "store", "store_uri", "tables"]
