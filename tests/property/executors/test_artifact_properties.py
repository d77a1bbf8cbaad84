"""Artefacts: the digest says the content, nothing more and nothing less."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from executors.local import FolderArtifacts

NAMES = st.text("abc", min_size=1, max_size=3)
TREES = st.dictionaries(st.tuples(NAMES.map(str.upper), NAMES), st.binary(max_size=40), max_size=6)
Tree = dict[tuple[str, str], bytes]


def write(folder: Path, tree: Tree, *, backwards: bool = False) -> Path:
    folder.mkdir()
    for (parent, name), data in sorted(tree.items(), reverse=backwards):
        (folder / parent).mkdir(exist_ok=True)
        (folder / parent / name).write_bytes(data)
    return folder


def read(folder: Path) -> Tree:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(path.parent.name, path.name): path.read_bytes() for path in files}


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_content_comes_back_whatever_it_is(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = FolderArtifacts(Path(place) / "store")
        digest = store.put(write(Path(place) / "a", tree))
        store.fetch(digest, Path(place) / "b")
        assert read(Path(place) / "b") == tree


@settings(max_examples=30, deadline=None)
@given(TREES, TREES)
def test_equal_digests_mean_equal_content(first: Tree, second: Tree) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = FolderArtifacts(Path(place) / "store")
        one = store.put(write(Path(place) / "a", first))
        other = store.put(write(Path(place) / "b", second, backwards=True))
        os.utime(Path(place) / "b", (0, 0))
        assert (one == other) == (first == second)


@settings(max_examples=20, deadline=None)
@given(TREES, TREES)
def test_collecting_harms_nothing_that_lives(first: Tree, second: Tree) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = FolderArtifacts(Path(place) / "store")
        live = store.put(write(Path(place) / "a", first))
        store.put(write(Path(place) / "b", second))
        store.collect([live], grace_seconds=0.0)
        store.fetch(live, Path(place) / "c")
        assert read(Path(place) / "c") == first
