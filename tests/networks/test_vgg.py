import pytest
import torch

from ganrun.core.errors import RunError
from ganrun.networks.vgg import WEIGHTS, PerceptualDistance


def test_it_is_the_distance_in_the_features_of_torchvisions_network(vgg_weights):
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        network = models.vgg19()
    network = network.features[:30].to_empty(device="cpu").eval()
    state = {name.removeprefix("features."): value for name, value in torch.load(vgg_weights).items()}
    network.load_state_dict(state)

    def features(images):
        hidden, found = ((images + 1) / 2 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]), []
        hidden = hidden / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        for index, layer in enumerate(network):
            hidden = layer(hidden)
            if index in (1, 6, 11, 20, 29):
                found.append(hidden.clone())
        return found

    made, truth = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        pairs = zip(WEIGHTS, features(made), features(truth), strict=True)
        expected = sum(weight * (one - other).abs().mean() for weight, one, other in pairs)
    torch.testing.assert_close(PerceptualDistance(vgg_weights)(made, truth), expected)
    assert WEIGHTS == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


def test_gradients_reach_the_images_only(vgg_weights):
    distance = PerceptualDistance(vgg_weights)
    made, truth = torch.rand(2, 1, 3, 16, 16)
    made.requires_grad_()
    distance(made, truth).backward()
    assert made.grad.abs().max() > 0
    assert distance(truth, truth) == 0


def test_files_that_will_not_do(tmp_path, vgg_weights):
    images = torch.rand(1, 3, 16, 16)
    with pytest.raises(RunError, match=r"there is no file .*nowhere\.pth .*torchvision's vgg19"):
        PerceptualDistance(tmp_path / "nowhere.pth")(images, images)
    (tmp_path / "text.pth").write_text("nothing")
    with pytest.raises(RunError, match=r"text\.pth cannot be read as weights"):
        PerceptualDistance(tmp_path / "text.pth")(images, images)
    state = torch.load(vgg_weights)
    for name, other in (("vgg16.pth", state | {"features.16.weight": torch.zeros(512, 256, 3, 3)}), ("list.pth", [1])):
        torch.save(other, tmp_path / name)
        with pytest.raises(RunError, match=rf"{name} is not VGG-19's: there is no features\.\d+\.weight"):
            PerceptualDistance(tmp_path / name)(images, images)
