"""Old paths that documentation promised still lead to the same parts, and say where those are."""

import importlib

import pytest

MOVED = {
    "greenbench.journal": ("greenbench.results.journal", "Journal"),
    "greenbench.marks": ("greenbench.results.marks", "marks_of"),
    "greenbench.readings": ("greenbench.results.readings", "Reading"),
    "greenbench.table": ("greenbench.results.table", "to_row"),
    "greenbench.thread_counts": ("greenbench.doctor.thread_counts", "measure_threads"),
    "greenbench.threads": ("greenbench.machine.threads", "available_cores"),
}


@pytest.mark.parametrize("old", MOVED)
def test_old_path_gives_the_same_part_and_names_the_new_one(old: str) -> None:
    new, name = MOVED[old]
    with pytest.warns(DeprecationWarning, match=new):
        module = importlib.reload(importlib.import_module(old))
    assert getattr(module, name) is getattr(importlib.import_module(new), name)
