"""The inventory of an archive of many images, listed without one being read."""

from pipelines.archive import Source, units_of, update
from pipelines.prompts import Prompts

FILES = {
    f"category-{number % 7}/a rather long name of an image {number:06d}.png": "1000:12" for number in range(20_000)
}


def listed(run, versions, **options):
    return update(str(run), Source("/nowhere", versions), Prompts("bin", **options), "image", 32, moved=False)


def test_many_images_are_read_again_as_they_were_listed(tmp_path):
    each_its_own = {key: {"category": "", "prompt": f"part {key}"} for key in FILES}
    found = listed(tmp_path, FILES, by_key=each_its_own)
    assert (found.there, found.new, found.changed) == (0, 20_000, 0)
    units = list(units_of(str(tmp_path)))
    assert [unit["rows"] for unit in units] == [32] * 625
    assert len({unit["file_name"] for unit in units}) == len({unit["sha256"] for unit in units}) == 625
    assert len(list((tmp_path / "inventory").iterdir())) == 3
    again = listed(tmp_path, FILES, by_key=each_its_own)
    assert (again.there, again.new, again.changed) == (20_000, 0, 0)


def test_later_images_and_new_versions_touch_no_other_unit(tmp_path):
    listed(tmp_path, FILES)
    before = {unit["file_name"]: unit["sha256"] for unit in units_of(str(tmp_path))}
    first = min(FILES)
    found = listed(tmp_path, FILES | {first: "1001:13", "category-0/later.png": "5:1"})
    assert (found.there, found.new, found.changed) == (20_000, 1, 1)
    after = {unit["file_name"]: unit["sha256"] for unit in units_of(str(tmp_path))}
    assert after.keys() - before.keys() == {"0000003-00000.parquet"}
    assert [name for name in before if before[name] != after[name]] == [
        unit["file_name"] for unit in units_of(str(tmp_path)) if first.encode() in unit["images"]
    ]
