"""Shards are joined to what one run would have made, or refused with what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from cloze.errors import DataError, SettingsError
from cloze.shards import bounds, join_tables, parse_shard, shards_to_join
from cloze.tables import table, with_prompt, write_table

IDS = [f"1/{page}_0" for page in range(7)]


def shard(path: Path, ids: list[str], prompt: str = "Say what happens.") -> Path:
    empty: dict[str, Any] = {"prediction": "x", "finish_reason": "stop"}
    rows = [{"sequence_id": sequence_id, **empty} for sequence_id in ids]
    write_table(with_prompt(table("predictions", rows, "/pictures"), prompt), path)
    return path


def test_shards_cover_every_row_once_and_join_in_the_order_that_was_asked_for(tmp_path):
    paths = []
    for word in shards_to_join("all/3"):
        first, end = bounds(len(IDS), *parse_shard("shard", word), "sequences")
        paths.append(shard(tmp_path / f"{first}.parquet", IDS[first:end]))
    joined = join_tables(paths[::-1], "predictions", IDS)
    assert joined["sequence_id"].to_pylist() == IDS
    assert joined.schema.metadata == join_tables([shard(tmp_path / "all", IDS)], "predictions", IDS).schema.metadata


@pytest.mark.parametrize(
    ("second", "prompt", "message"),
    [
        (IDS[4:], "Say what happens.", r"1 sequences are in no shard, the first is 1/3_0"),
        (IDS[2:], "Say what happens.", r"sequence 1/2_0 is in the shards 2 times"),
        ([*IDS[3:], "2/0_0"], "Say what happens.", r"1 sequences were not asked for, such as 2/0_0"),
        (IDS[3:], "Something else.", r"made of other pictures or with other instructions"),
    ],
)
def test_gaps_duplicates_and_strangers_are_refused(tmp_path, second, prompt, message):
    paths = [shard(tmp_path / "a.parquet", IDS[:3]), shard(tmp_path / "b.parquet", second, prompt)]
    with pytest.raises(DataError, match=message):
        join_tables(paths, "predictions", IDS)


@pytest.mark.parametrize("word", ["", "3", "3/3", "0/0", "-1/2", "all", "all/0", "some/3"])
def test_what_is_no_shard_is_refused(word):
    with pytest.raises(SettingsError, match="shard is"):
        parse_shard("shard", word)
