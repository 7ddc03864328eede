import torch

from ganrun.core.tensors import paint
from ganrun.networks.layers.planes import planes


def test_label_maps_become_one_plane_per_class():
    maps = torch.tensor([[[0, 1], [2, 1]]])
    expected = torch.tensor([[[[1.0, 0], [0, 0]], [[0, 1], [0, 1]], [[0, 0], [1, 0]]]])
    assert torch.equal(planes(maps, 3), expected)
    assert torch.equal(planes(maps, 3, (4, 4)), expected.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_images_stay_what_they_are():
    images = torch.rand(2, 3, 4, 4)
    assert planes(images, 3) is images
    assert torch.equal(planes(images, 3, (2, 2)), images[:, :, ::2, ::2])


def test_maps_are_painted_in_the_colours_of_their_classes():
    painted = paint(torch.tensor([[[0, 1]]]), [("sky", 0, 0, 255), ("grass", 0, 255, 0)])
    assert torch.equal(painted, torch.tensor([[[[-1.0, -1]], [[-1, 1]], [[1, -1]]]]))
