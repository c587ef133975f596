"""How functions start in the emulator: from one place that is unpacked once, and only a few at a time."""

import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local.emulator import KEPT_SECONDS, Places, few_at_a_time, linked


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("package/__init__.py", "VALUE = 7\n")
        zipped.writestr("note.txt", "a note")
    return archive


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "unpacked")


def test_what_is_packed_is_linked_to_where_it_is_unpacked(packed: Path, places: Places, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with linked(places)(str(packed)) as zipped:
            assert sorted(zipped.namelist()) == ["note.txt", "package"]
            zipped.extractall(str(tmp_path / name))
        assert (tmp_path / name / "note.txt").read_text() == "a note"
    assert len(list((tmp_path / "unpacked").iterdir())) == 1
    assert (tmp_path / "one" / "package").resolve() == (tmp_path / "two" / "package").resolve()


def test_it_is_unpacked_once_by_however_many_at_once(packed: Path, places: Places, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(places.of(packed))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert list((tmp_path / "unpacked").iterdir()) == found[:1]


def test_another_emulator_may_be_quicker(packed: Path, tmp_path: Path) -> None:
    one, other = Places(tmp_path / "unpacked"), Places(tmp_path / "unpacked")
    place = one.of(packed)
    other._unpack(packed, place)
    assert list((tmp_path / "unpacked").iterdir()) == [place]
    assert (place / "note.txt").exists()


def test_what_nobody_has_used_for_long_is_removed(packed: Path, places: Places, tmp_path: Path) -> None:
    place = places.of(packed)
    Places(tmp_path / "unpacked")
    assert place.exists()
    long_ago = place.stat().st_mtime - KEPT_SECONDS - 60
    os.utime(place, (long_ago, long_ago))
    assert places.of(packed) == place
    Places(tmp_path / "unpacked")
    assert place.exists(), "it was used just now"
    os.utime(place, (long_ago, long_ago))
    Places(tmp_path / "unpacked")
    assert not place.exists()


def test_no_more_start_at_a_time_than_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    lock, both = threading.Lock(), threading.Barrier(2)
    at_it: list[int] = []
    most: list[int] = []

    def start(worker: Any) -> None:
        with lock:
            at_it.append(worker)
            most.append(len(at_it))
        both.wait(10)  # two there must be
        with lock:
            at_it.remove(worker)

    started = few_at_a_time(start)
    threads = [threading.Thread(target=started, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (6, 2)
