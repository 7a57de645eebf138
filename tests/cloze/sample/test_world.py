import pytest

from cloze.errors import DataError
from cloze.sample.world import sample_folder, sample_seed, sample_uri, world_digest


def test_a_sample_uri_gives_back_its_seed():
    assert sample_uri(42) == f"sample:42:{world_digest()}"
    assert sample_seed(sample_uri(42), "s.parquet") == 42


@pytest.mark.parametrize("uri", ["", "/data/comics", "gs://bucket/comics", "sample:x:0123456789ab", "sample"])
def test_what_is_not_a_sample_is_refused_with_the_file_named(uri):
    with pytest.raises(DataError, match=r"s\.parquet: its pictures lie in .* which is not the drawn sample"):
        sample_seed(uri, "s.parquet")


def test_a_sample_that_other_code_drew_is_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"another version of the drawn sample .* run `mlflow run \. -e ingest"):
        sample_seed("sample:42:0123456789ab", "s.parquet")


def test_the_drawn_folder_is_named_after_seed_and_digest_and_leaves_no_scratch(drawn):
    assert drawn.name == f"sample-42-{world_digest()}"
    assert not [path for path in drawn.parent.glob(".sample-*") if path.is_dir()]


def test_a_drawn_folder_is_used_again(drawn):
    before = drawn.stat().st_mtime_ns
    assert sample_folder(drawn.parent, 42) == drawn
    assert drawn.stat().st_mtime_ns == before
