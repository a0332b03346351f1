"""Work in Ray's tasks: what comes back, in which order, and what becomes of errors."""

import os

import pytest

from pipelines import engine
from zsad_core.errors import UsageError, ZsadError

pytestmark = pytest.mark.usefixtures("ray_session")


def units(count):
    return [{"name": f"file {number}", "value": number} for number in range(count)]


@pytest.mark.parametrize(("tasks", "wave"), [(3, engine.WAVE), (engine.TASKS, 3)])
def test_units_come_back_once_each_however_many_share_a_task_or_a_wave(monkeypatch, tasks, wave):
    monkeypatch.setattr(engine, "TASKS", tasks)
    monkeypatch.setattr(engine, "WAVE", wave)
    done = list(engine.map_units(units(8), lambda unit: {"squared": unit["value"] ** 2}))
    assert sorted(row["squared"] for row in done) == [number**2 for number in range(8)]
    assert all([*row] == ["squared"] for row in done)


def test_few_units_are_done_here():
    def work(unit):
        return {"process": os.getpid()}

    assert {row["process"] for row in engine.map_units(units(3), work, few=3)} == {os.getpid()}
    assert os.getpid() not in {row["process"] for row in engine.map_units(units(4), work, few=3)}


@pytest.mark.parametrize(("tasks", "few"), [(2, 0), (engine.TASKS, 0), (2, 6)])
def test_errors_of_tasks_come_out_as_they_were_when_all_others_are_done(monkeypatch, tasks, few):
    def work(unit):
        if unit["value"] == 3:
            raise ZsadError("file x, row 3: do this")
        if unit["value"] == 4:
            raise ValueError("so")
        return unit

    monkeypatch.setattr(engine, "TASKS", tasks)
    done = []
    with pytest.raises(ZsadError) as caught:
        done.extend(row["value"] for row in engine.map_units(units(6), work, few=few))
    assert str(caught.value) == "file 4: ValueError: so\nfile x, row 3: do this"
    assert sorted(done) == [0, 1, 2, 5]


def test_no_units_give_nothing():
    assert list(engine.map_units([], lambda unit: unit)) == []


def test_what_is_called_raises_what_it_raised():
    def wrong():
        raise UsageError("write it so")

    with pytest.raises(UsageError, match="^write it so$"):
        engine.call(wrong)


@pytest.mark.parametrize("count", [0, 1, 11])
def test_items_come_back_in_order(count):
    found = list(engine.in_order("items", lambda item, more: (item * more, os.getpid()), list(range(count)), 10))
    assert [value for value, _ in found] == [10 * number for number in range(count)]
    assert all((process == os.getpid()) == (count == 1) for _, process in found)  # one item is not worth a task


def test_an_item_s_error_comes_out_as_it_was():
    def work(item):
        if item == 2:
            raise ZsadError("file y: do that")
        return item

    found = engine.in_order("items", work, [1, 2, 3])
    assert next(found) == 1
    with pytest.raises(ZsadError, match="^file y: do that$"):
        next(found)
