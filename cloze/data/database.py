"""DuckDB as we use it: in memory, bounded, never on the network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def connect(spill: Path) -> "DuckDBPyConnection":
    """A database in memory that spills below `spill` past 2 GiB and loads no extension."""
    import duckdb

    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,  # else an unknown function is looked for on the network
        "autoload_known_extensions": False,
        "memory_limit": "2GiB",
        "temp_directory": str(spill / "duckdb"),
    }
    return duckdb.connect(config=settings)
