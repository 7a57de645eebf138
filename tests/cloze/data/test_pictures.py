import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cloze.data.images import ImageFolder
from cloze.data.pictures import CHECKS, PROBLEMS, find_problems, problem_of
from tests.cloze.data.comics_files import jpeg, write_pictures


def png(width=24, height=16, data=None):
    """A grey PNG; with `data`, one whose header may say more than is there."""
    rows = zlib.compress(b"\0" * ((width // 8 + 1) * height)) if data is None else data
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def noise(format="JPEG"):
    stream = io.BytesIO()
    Image.effect_noise((240, 160), 90).convert("RGB").save(stream, format)
    return stream.getvalue()


BAD = {
    "zero_bytes.jpg": (b"", "empty"),
    "text.jpg": (b"<html>404 Not Found</html>", "not a picture"),
    "truncated.jpg": (noise()[:4000], "damaged"),
    "truncated.png": (noise("PNG")[:9000], "damaged"),
    "header_only.jpg": (noise()[:12], "damaged"),
    "bomb.png": (png(30_000, 30_000), "too large"),
    "bomb_in_name_only.png": (png(30_000, 30_000, data=b""), "too large"),
    "strip.png": (png(20_000, 8), "too large"),
    "animation.jpg": (b"GIF89a" + b"\0" * 40, "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_picture_that_cannot_be_used_says_why(name):
    content, expected = BAD[name]
    assert problem_of(content) == expected
    assert expected in PROBLEMS


@pytest.mark.parametrize("content", [jpeg(), png(), noise()], ids=["jpeg", "png", "noise"])
def test_a_whole_picture_has_no_problem(content):
    assert problem_of(content) == problem_of(content[: 1 << 16], whole=False) == ""


@given(st.binary(max_size=200) | st.integers(0, 2000).map(lambda n: noise()[:n] + b"\xff" * (n % 7)))
@settings(max_examples=150)
def test_no_bytes_make_it_fail(content):
    assert problem_of(content) in ("", *PROBLEMS)


def folder_of(tmp_path):
    for name, (content, _) in BAD.items():
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / name).write_bytes(content)
    write_pictures(tmp_path, ["1/good.jpg"])
    return ImageFolder(str(tmp_path), str(tmp_path))


def test_decoding_finds_every_bad_picture_of_a_folder(tmp_path):
    folder = folder_of(tmp_path)
    expected = {f"1/{name}": problem for name, (_, problem) in BAD.items()}
    assert find_problems(folder, sorted(folder.listing()), "decode") == expected


def test_headers_find_all_that_is_cut_off_or_too_large(tmp_path):
    folder = folder_of(tmp_path)
    found = find_problems(folder, sorted(folder.listing()), "headers")
    assert found.keys() == {f"1/{name}" for name in BAD}


def test_headers_do_not_see_damage_in_the_middle_and_decoding_does(tmp_path):
    content = bytearray(png(400, 400))
    middle = content.index(b"IDAT") + 8
    content[middle : middle + 20] = b"\xaa" * 20
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "2_3.png").write_bytes(content)
    folder = ImageFolder(str(tmp_path), str(tmp_path))
    assert find_problems(folder, ["1/2_3.png"], "headers") == {}
    assert find_problems(folder, ["1/2_3.png"], "decode") == {"1/2_3.png": "damaged"}


@pytest.mark.parametrize("check", CHECKS[2:])
def test_other_checks_open_no_picture(check, tmp_path):
    folder = folder_of(tmp_path)
    assert find_problems(folder, sorted(folder.listing()), check) == {}
