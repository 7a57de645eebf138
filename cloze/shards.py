"""Work cut into shards: K/N is the K-th of N, counted from 0; all/N joins the N to what one run would have made."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import DataError, SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = "0/1"
_WORD = re.compile(r"(\d+|all)/([1-9]\d*)")


def parse_shard(name: str, word: str) -> tuple[int, int]:
    """Number of a shard, from 0, and how many there are; `all/N` is the whole, 0 of 1.

    Raises:
        SettingsError: the setting of that name is nothing of the kind.
    """
    match = _WORD.fullmatch(word)
    if not match:
        raise SettingsError(name, word, "K/N, such as 3/8, or all/N, which joins finished shards")
    if match[1] == "all":
        return 0, 1
    part, parts = int(match[1]), int(match[2])
    if not part < parts:
        raise SettingsError(name, word, "K/N with K below N, such as 3/8")
    return part, parts


def shards_to_join(word: str) -> list[str]:
    """The words of all shards that `all/N` joins; none for other words."""
    match = _WORD.fullmatch(word)
    return [f"{part}/{match[2]}" for part in range(int(match[2]))] if match and match[1] == "all" else []


def bounds(n_rows: int, part: int, parts: int, where: str) -> tuple[int, int]:
    """First row of a shard, and the first after it. Neighbours stay together: they share pictures.

    Raises:
        DataError: there are more shards than rows.
    """
    if parts > n_rows:
        raise DataError(where, f"{n_rows} sequences do not make {parts} shards", "ask for fewer")
    return n_rows * part // parts, n_rows * (part + 1) // parts


def join_tables(paths: Sequence[Path], name: str, wanted: Sequence[str]) -> "pa.Table":
    """The rows of all shards of the named table: every wanted sequence once, in the order of their ids.

    Raises:
        DataError: a sequence is missing, or there twice, or nobody asked for it; or shards were made of other pictures
            or with other instructions.
    """
    import pyarrow as pa

    from cloze.tables import read_table

    tables = [read_table(path, name) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if table.schema.metadata != tables[0].schema.metadata:
            raise DataError(path, f"was made of other pictures or with other instructions than {paths[0]}")
    joined = pa.concat_tables(tables)
    counts = Counter(joined["sequence_id"].to_pylist())
    for path, table in zip(paths, tables, strict=True):
        for sequence_id in table["sequence_id"].to_pylist():
            if counts[sequence_id] > 1:
                raise DataError(path, f"sequence {sequence_id} is in the shards {counts[sequence_id]} times")
    if missing := [sequence_id for sequence_id in wanted if sequence_id not in counts]:
        raise DataError(paths[0].name, f"{len(missing)} sequences are in no shard, the first is {missing[0]}")
    if extra := counts.keys() - set(wanted):
        raise DataError(paths[0].name, f"{len(extra)} sequences were not asked for, such as {min(extra)}")
    places = {sequence_id: place for place, sequence_id in enumerate(joined["sequence_id"].to_pylist())}
    return joined.take([places[sequence_id] for sequence_id in wanted])
