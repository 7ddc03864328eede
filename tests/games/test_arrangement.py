"""How samples stand in a picture."""

from __future__ import annotations

import pytest
import torch

from ganrun.games.base import Game


def arranged(classes: int, count: int, names: tuple[str, ...] = ()):
    game = Game()
    game.register_parameter("weight", torch.nn.Parameter(torch.zeros(1)))  # says where the game is
    game.classes, game.class_names = classes, names
    return game.arrange(count)


def test_without_classes_a_square():
    assert arranged(0, 64) == arranged(0, 64)
    assert (arranged(0, 64).columns, arranged(0, 64).count, arranged(0, 10).columns) == (8, 64, 3)
    assert arranged(0, 64).rows == ()


def test_one_class_per_row():
    picture = arranged(10, 64)
    assert (picture.count, picture.columns) == (60, 6)
    assert picture.condition.unflatten(0, (10, 6)).tolist() == [[k] * 6 for k in range(10)]
    assert picture.rows == tuple("0123456789")
    assert arranged(2, 9, ("cat", "dog")).rows == ("cat", "dog")


@pytest.mark.parametrize(("classes", "count"), [(1000, 64), (10, 12), (5, 1), (1, 1), (3, 5)])
def test_some_of_many_classes(classes, count):
    picture = arranged(classes, count)
    labels = picture.condition.unflatten(0, (-1, picture.columns))
    assert picture.count == len(picture.condition) <= count
    assert (labels == labels[:, :1]).all()
    assert labels[:, 0].unique().numel() == len(picture.rows) == len(labels)
    assert labels.max() < classes
    assert picture.rows == tuple(str(int(row)) for row in labels[:, 0])
