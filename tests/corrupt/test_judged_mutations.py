"""A short form of `make mutations`: check and the reader agree with the kernel and unsquashfs on changed images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corrupt.judges import good_tree, need_judges
from tests.fuzz.judged_mutations import disagreements, images, mutation


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_check_says_what_kernel_and_unsquashfs_do(first: int, tmp_path: Path) -> None:
    need_judges()
    originals = images()
    found = []
    for seed in range(first, first + 10):
        original, changed = mutation(originals, seed)
        (tmp_path / f"original-{seed}").write_bytes(original)
        path = tmp_path / f"image-{seed}"
        path.write_bytes(changed.image)
        good = good_tree(tmp_path / f"original-{seed}", tmp_path)
        found += [f"{changed.text}: {text}" for text in disagreements(path, tmp_path, good)]
    assert not found
