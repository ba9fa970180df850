"""What upper layers seem to hide equals a small model: sets of whole paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.visibility import Visibility
from pysquash.tree.whiteouts import hidden_by, is_marker

NAMES = st.sampled_from([b"a", b"b", b"c", b".wh.a", b".wh.b", b".wh..wh..opq", b".wh..wh.plnk"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
PLAIN_PATHS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=5).map(b"/".join)
KINDS = st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.FIFO])
LAYERS = st.lists(st.lists(st.builds(Entry, PATHS, KINDS), max_size=5), max_size=3)


def above(path: bytes) -> list[bytes]:
    """All directories on the way to a path, the root included, the path itself not."""
    components = path.split(b"/")[:-1]
    return [b"/".join(components[:count]) for count in range(len(components) + 1)]


class Model:
    """The same in sets of whole paths."""

    def __init__(self, layers: list[list[Entry]], *, applies_whiteouts: bool) -> None:
        self.occupied: set[bytes] = set()
        self.covering: set[bytes] = set()
        self.whited_out: set[bytes] = set()
        for entry in (entry for layer in layers for entry in layer):
            if applies_whiteouts and is_marker(entry.path):
                directory, name = hidden_by(entry.path) or (None, b"")
                if directory is not None:
                    place = b"/".join(part for part in (directory, name) if part)
                    self.covering.add(place)
                    self.whited_out |= {place} if name else set()
                continue
            self.occupied |= {entry.path, *above(entry.path)[1:]}
            if entry.kind is not Kind.DIRECTORY:
                self.covering.add(entry.path)

    def hides(self, path: bytes) -> bool:
        return path in self.occupied or path in self.whited_out or not self.covering.isdisjoint(above(path))


@given(LAYERS, st.lists(PLAIN_PATHS, max_size=20), st.booleans())
def test_it_hides_what_the_model_hides(layers: list[list[Entry]], paths: list[bytes], is_applied: bool) -> None:
    visibility = Visibility(WriterOptions(whiteouts="apply" if is_applied else "keep"))
    for layer in layers:
        visibility.add_layer(layer)
    model = Model(layers, applies_whiteouts=is_applied)
    for path in paths * 2:  # the second time from memory
        assert visibility.hides(path) == model.hides(path)
    assert visibility.hides_anything == bool(model.occupied or model.covering)
