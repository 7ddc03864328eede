from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.sampling.write import write_images


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_one_file_per_image_in_order(tmp_path, channels, mode):
    levels = torch.arange(7).float() * 30
    images = (levels / 127.5 - 1)[:, None, None, None].expand(7, channels, 6, 4)
    position = 0

    def generate(count):
        nonlocal position
        position += count
        return images[position - count : position]

    write_images(generate, count=7, batch_size=3, folder=tmp_path / "out", progress=False)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{number:05d}.png" for number in range(7)]
    for number, name in enumerate(names):
        picture = Image.open(tmp_path / "out" / name)
        assert picture.mode == mode
        assert picture.size == (4, 6)
        assert (np.asarray(picture) == 30 * number).all()
