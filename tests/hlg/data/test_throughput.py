"""The rates that are measured: of what they say, over the time they were asked for."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from hlg.data import throughput
from hlg.data.throughput import Rate, find_or_draw_images, image_facts
from hlg.data.tiny.make import TinyRequest
from hlg.errors import UserError


def test_a_rate_tells_wall_clock_and_processor_time_apart() -> None:
    rate = Rate(images=600, wall_s=2.0, cpu_s=3.0)
    assert (rate.images_per_s, rate.images_per_s_per_core) == (300, 200)


def test_images_are_drawn_where_no_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "DRAWN", TinyRequest(classes=2, train=3, val=1))
    with ExitStack() as closing:
        found = find_or_draw_images("", 10, closing)
        sizes = [(found.root / file).stat().st_size for file in found.files]
        assert image_facts(found, "") == {"drawn": True, "images": 6, "mean_file_bytes": sum(sizes) / 6}
        again = find_or_draw_images(str(found.root), 10, closing)
        assert image_facts(again, str(found.root))["drawn"] is False
        with pytest.raises(UserError, match="none"):
            find_or_draw_images(str(tmp_path / "none"), 10, closing)
    assert not found.root.exists()
