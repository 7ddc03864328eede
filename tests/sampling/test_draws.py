import pytest
import torch

from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.data.one_domain import OneDomain
from ganrun.games.base import Game
from ganrun.sampling.draws import supplies_of


class Numbers:
    """Images of one pixel, their number; in the second domain plus 100. Conditions are numbers, too."""

    def __init__(self, *counts, condition="", classes=0):
        self.facts = Facts(
            "images", (1, 1, 1), counts, classes, len(counts), "numbers", condition=condition, condition_size=1
        )
        self.classes = classes

    def fetch(self, indices, augment=True):
        assert not augment
        domains = tuple(chosen[:, None, None, None] + 100.0 * k for k, chosen in enumerate(indices))
        conditions = {
            "images": domains[0] / 10,
            "maps": indices[0][:, None, None],
            "": None,
            "texts": domains[0].flatten(1),
        }
        return Batch(domains, conditions[self.facts.condition])

    def examples(self, count):
        return Batch(self.fetch(tuple(torch.arange(count) for _ in self.facts.count), augment=False).domains)


class Translators(Game):
    needs, directions = "images", ("a_to_b", "b_to_a")

    def translate(self, images, direction):
        return images + (0.5 if direction == "a_to_b" else -0.25)


class Answers(Game):
    def __init__(self, needs):
        super().__init__()
        self.needs = needs

    def sample(self, count, condition=None):
        assert len(condition) == count
        return condition.float().reshape(count, 1, 1, 1) * 2


def drawn(supply, *counts):
    parts = [supply.draw(count) for count in counts]
    return torch.cat([part[0] if isinstance(part, tuple) else part for part in parts]).flatten()


def test_either_direction_starts_from_its_domain_and_goes_through_it_once():
    supplies = supplies_of(Translators(), Numbers(7, 9))
    there, back = supplies["a_to_b"], supplies["b_to_a"]
    assert list(supplies) == ["a_to_b", "b_to_a"]
    assert [(one.domain, one.available, one.truths) for one in (there, back)] == [(1, 7, None), (0, 9, None)]
    values = drawn(there, 4, 3)
    assert sorted(values.tolist()) == [k + 0.5 for k in range(7)]
    assert not torch.equal(values, values.sort().values)
    assert torch.equal(values, drawn(supplies_of(Translators(), Numbers(7, 9))["a_to_b"], 7))
    assert sorted(drawn(back, 9).tolist()) == [99.75 + k for k in range(9)]
    originals, returned = there.cycles(torch.tensor([4, 1]))
    assert torch.equal(originals.flatten(), values[[4, 1]] - 0.5)
    assert torch.equal(returned, originals + 0.25)
    originals, returned = back.cycles(torch.tensor([0]))
    assert torch.equal(returned, originals + 0.25)
    assert originals.item() >= 100


@pytest.mark.parametrize(("needs", "available"), [("images", 6), ("maps", 6), ("texts", None)])
def test_answers_know_their_truths(needs, available):
    (supply,) = supplies_of(Answers(needs), Numbers(6, condition=needs)).values()
    assert supply.available == available
    assert supply.cycles is None
    values = drawn(supply, 2, 4, 3)  # more than there are: from the start again
    truths = supply.truths(torch.arange(9)).flatten()
    assert torch.allclose(values, truths * (0.2 if needs == "images" else 2))
    assert sorted(truths[:6].tolist()) == list(range(6))
    assert torch.equal(truths[6:], truths[:3])
    assert isinstance(supply.draw(1), tuple) == (needs != "images")


def test_one_domain_of_two():
    data = Numbers(3, 5)
    second = OneDomain(data, 1)
    assert (second.facts.count, second.facts.domains) == ((5,), 1)
    assert second.facts.fingerprint != OneDomain(data, 0).facts.fingerprint
    batch = second.fetch((torch.tensor([4, 0]),), augment=False)
    assert batch.real.flatten().tolist() == [104, 100]
    assert len(batch.domains) == 1
    assert second.examples(2).real.flatten().tolist() == [100, 101]


def test_conditions_stay_with_the_first_domain():
    data = Numbers(3, 3, condition="images", classes=2)
    first, second = OneDomain(data, 0), OneDomain(data, 1)
    assert (first.facts.condition, first.facts.classes) == ("images", 2)
    assert (second.facts.condition, second.facts.classes) == ("", 0)
    chosen = (torch.tensor([2]),)
    assert first.fetch(chosen, augment=False).condition.item() == pytest.approx(0.2)
    assert second.fetch(chosen, augment=False).condition is None
