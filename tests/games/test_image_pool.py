import pytest
import torch

from ganrun.games.image_pool import ImagePool


def numbered(first, count):
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def values(images):
    return images[:, 0, 0, 0].long().tolist()


def test_a_pool_that_is_not_full_returns_what_it_is_given():
    pool = ImagePool(6, (1, 2, 2))
    assert values(pool(numbered(0, 4))) == [0, 1, 2, 3]
    assert values(pool(numbered(4, 2))) == [4, 5]
    assert values(pool.images) == [0, 1, 2, 3, 4, 5]


def test_a_full_pool_returns_an_older_image_half_of_the_time():
    torch.manual_seed(0)
    pool = ImagePool(20, (1, 2, 2))
    pool(numbered(0, 20))
    kept, returned_old = set(range(20)), 0
    for number in range(20, 2020):
        (returned,) = values(pool(numbered(number, 1)))
        if returned != number:  # an exchange: the old one has left, the new one has come
            assert returned in kept
            kept = kept - {returned} | {number}
            returned_old += 1
        assert set(values(pool.images)) == kept
    assert 920 < returned_old < 1080


def test_every_stored_image_is_as_likely_to_leave():
    torch.manual_seed(0)
    pool = ImagePool(10, (1, 2, 2))
    pool(numbered(0, 10))
    left = [0] * 10
    for number in range(10, 2010):
        before = values(pool.images)
        pool(numbered(number, 1))
        for place, (old, new) in enumerate(zip(before, values(pool.images), strict=True)):
            left[place] += old != new
    assert sum(left) == pytest.approx(1000, abs=80)
    assert all(70 < count < 130 for count in left)  # 100 each, with a standard deviation of 10


def test_images_of_one_batch_enter_one_after_the_other():
    torch.manual_seed(0)
    pool = ImagePool(1, (1, 2, 2))
    pool(numbered(0, 1))
    everything = values(pool(numbered(1, 200))) + values(pool.images)
    assert sorted(everything) == list(range(201))


def test_capacity_zero_returns_the_newest():
    pool = ImagePool(0, (1, 2, 2))
    fakes = numbered(0, 3).clone().requires_grad_()
    returned = pool(fakes)
    assert torch.equal(returned, fakes)
    assert not returned.requires_grad


def test_a_restored_pool_goes_on_exactly():
    torch.manual_seed(0)
    pool = ImagePool(3, (1, 2, 2))
    pool(numbered(0, 8))
    other = ImagePool(3, (1, 2, 2))
    other.load_state_dict(pool.state_dict())
    torch.manual_seed(1)
    expected = pool(numbered(8, 20))
    torch.manual_seed(1)
    assert torch.equal(other(numbered(8, 20)), expected)
