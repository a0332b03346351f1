"""Images in tar and Parquet files as other programs write them, listed and read again."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.containers import is_container, is_data, places_in, read_images
from tests.files import write_tar
from zsad_core.errors import UsageError
from zsad_core.images import ImageError, is_image_name

IMAGES = {f"a/{number}.png": bytes([number]) * (50 + number) for number in range(7)}


def read(folder, file, places, column="image"):
    return read_images(str(folder), file, [place._asdict() for place in places], column)


def test_members_of_a_tar_file(tmp_path):
    write_tar(tmp_path / "a.tar", {"a/0.json": b"{}", **IMAGES, "a/readme.txt": b"x", "a/.hidden.png": b"y"})
    places = places_in(str(tmp_path / "a.tar"), "image")
    assert [place.name for place in places] == list(IMAGES)
    assert read(tmp_path, "a.tar", places) == list(IMAGES.values())
    assert read(tmp_path, "a.tar", places[2:4]) == list(IMAGES.values())[2:4]


def test_of_two_members_of_one_name_the_later_is_meant(tmp_path):
    write_tar(tmp_path / "a.tar", {"1.png": b"first", "2.png": b"other"})
    write_tar(tmp_path / "a.tar", {"1.png": b"later"}, mode="a")
    places = places_in(str(tmp_path / "a.tar"), "image")
    assert dict(zip((place.name for place in places), read(tmp_path, "a.tar", places))) == {
        "1.png": b"later",
        "2.png": b"other",
    }


def test_members_far_from_each_other_are_read_one_by_one(tmp_path):
    write_tar(tmp_path / "a.tar", {"1.png": b"one", "between.bin": bytes(2**22), "2.png": b"two"})
    places = places_in(str(tmp_path / "a.tar"), "image")
    assert read(tmp_path, "a.tar", places) == [b"one", b"two"]


def test_a_tar_file_that_was_cut_is_read_as_far_as_it_goes(tmp_path):
    write_tar(tmp_path / "a.tar", {f"{number}.png": bytes(5000) for number in range(9)})
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: 5 * 5632 + 1000])
    *whole, last, damaged = places_in(str(tmp_path / "a.tar"), "image")
    assert damaged.name == "" and "damaged tar file" in damaged.error and "up to its image 6" in damaged.error
    found = read(tmp_path, "a.tar", [*whole, last])
    assert found[:-1] == [bytes(5000)] * 5
    assert isinstance(found[-1], ImageError) and "ends before it" in str(found[-1])


@pytest.mark.parametrize("content", [b"", b"no tar file at all" * 100])
def test_what_is_no_tar_file(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    (place,) = places_in(str(tmp_path / "a.tar"), "image")
    assert place.name == "" and "damaged tar file" in place.error


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("group_size", [2, 3, 100])
def test_rows_of_a_parquet_file(tmp_path, nested, group_size):
    """As pandas writes bytes, and as image data sets have them: a struct of bytes and path."""
    images = [{"bytes": content, "path": name} if nested else content for name, content in IMAGES.items()]
    frame = pd.DataFrame(
        {"image": images, "category": ["nut", "bolt", None, *["nut"] * 4], "label": [0, 1, 2, 0, 1, 0, 1]}
    )
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=group_size)
    places = places_in(str(tmp_path / "a.parquet"), "image")
    assert [place.category for place in places] == ["nut", "bolt", None, *["nut"] * 4]
    assert [place.label for place in places] == [0, 1, None, 0, 1, 0, 1]
    assert len({place.name for place in places}) == 7
    assert [place.group for place in places] == [row // group_size for row in range(7)]
    for group in {place.group for place in places}:
        of_group = [place for place in places if place.group == group]
        contents = [list(IMAGES.values())[row] for row in range(7) if row // group_size == group]
        assert read(tmp_path, "a.parquet", of_group) == contents
        assert read(tmp_path, "a.parquet", of_group[-1:]) == contents[-1:]


def test_keys_and_prompts_of_a_parquet_file_and_rows_without_an_image(tmp_path):
    table = pa.table(
        {"key": [7, 8, None], "prompt": ["a nut", None, "x"], "scan": pa.array([b"1", None, b"3"], pa.large_binary())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    places = places_in(str(tmp_path / "a.parquet"), "scan")
    assert [(place.name, place.prompt) for place in places] == [("7", "a nut"), ("8", None), ("a.parquet/0-2", "x")]
    one, none, three = read(tmp_path, "a.parquet", places, "scan")
    assert (one, three) == (b"1", b"3") and isinstance(none, ImageError)


def test_a_column_that_is_not_there_or_holds_no_images(tmp_path):
    pq.write_table(pa.table({"picture": [b"1"], "number": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="a.parquet: no column image; .*--image-column .*there are: picture, number"):
        places_in(str(tmp_path / "a.parquet"), "image")
    with pytest.raises(UsageError, match="a.parquet: column number is int64, not the bytes of encoded images"):
        places_in(str(tmp_path / "a.parquet"), "number")


def test_a_damaged_parquet_file_is_a_place_with_an_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    (place,) = places_in(str(tmp_path / "a.parquet"), "image")
    assert place.name == "" and place.error.startswith("cannot be read")


def test_files_that_are_gone_are_said_to_be():
    place = {"start": 0, "size": 3, "group": 0}
    for file in ("a.tar", "a.parquet", "a.png"):
        (found,) = read_images("/nowhere", file, [place], "image")
        assert isinstance(found, ImageError) and ("not there any more" in str(found) or "no such file" in str(found))


def test_kinds_of_files():
    assert is_image_name("a/B.JPG") and is_container("x.TAR") and is_container("x.parquet")
    assert not is_container("x.tar.gz") and not is_image_name("x.txt")
    assert not is_data("a/.cache/1.png") and not is_data("__MACOSX/1.png") and is_data("a/1.png")
