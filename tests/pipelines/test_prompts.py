"""What images are called: table, one text for all, the container's columns, the folder, in this order."""

import pytest

from pipelines.prompts import Prompts, read_prompts
from zsad_core.errors import UsageError, ZsadError


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "parts.csv").write_text(text, encoding="utf-8")
        return str(tmp_path / "parts.csv")

    return write


def test_what_goes_before_what(table):
    file = table('key,category,prompt\n,nut,"a nut, of steel"\nx/1.png,,"the one"\nx/2.png,other,\n')
    told = read_prompts("bin", "thing", file)
    assert told.of("x/1.png", "x", None, None) == ("bin", "the one")
    assert told.of("x/2.png", "x", "bolt", "a bolt") == ("other", "thing")
    assert read_prompts("bin", None, file).of("nut/1.png", "nut", None, None) == ("nut", "a nut, of steel")
    assert told.of("a", "folder", "nut", "from the column") == ("nut", "a nut, of steel")
    assert told.of("a", "folder", "bolt", "from the column") == ("bolt", "thing")


def test_without_a_table_columns_go_before_the_folder():
    told = Prompts("bin")
    assert told.of("a", "metal_nut-m8", None, None) == ("metal_nut-m8", "metal nut m8")
    assert told.of("a", "folder", "bolt", None) == ("bolt", "bolt")
    assert told.of("a", "folder", "bolt", "a bolt") == ("bolt", "a bolt")
    assert told.of("a", "folder", None, "a bolt") == ("folder", "a bolt")
    assert Prompts("bin", "thing").of("a", "folder", None, None) == ("bin", "thing")


def test_an_image_in_no_folder_needs_a_word():
    with pytest.raises(UsageError, match="1.png: nothing says what it shows; add --prompt"):
        Prompts("bin").of("1.png", "", None, None)


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,text\na,b\n", "its first line has to name columns: prompt, and category or key .it has: name, text"),
        ("category,prompt\nnut,steel nut\nnut,brass nut\n", "line 3: nut stands there twice"),
        ("category,prompt\nnut,\n", "line 2: neither a key, nor a category with its prompt"),
        ("", "its first line has to name columns"),
        ("\n\nkey,prompt\n\nnut/1.png,nut\nnut/1.png,bolt\n", "line 6: nut/1.png stands there twice"),
        ('key,prompt\n"' + "x" * 200_000, "line 2: not CSV"),
        ("key,prompt\nnut/1.png,nut,3\n", "line 2: 3 cells, the first line names 2 columns"),
    ],
)
def test_tables_that_say_nothing(table, text, message):
    with pytest.raises(ZsadError, match=f"parts.csv.*{message}"):
        read_prompts("bin", None, table(text))


def test_a_table_that_is_not_there():
    with pytest.raises(UsageError, match="nowhere.csv: no such file"):
        read_prompts("bin", None, "/nowhere.csv")
