"""Loops for the tests of the benchmark's processes, which import this module."""

import time


def sleeps(countable):
    return lambda steps: time.sleep(0.02 * steps)


def sleeps_longer(countable):
    return lambda steps: time.sleep(0.06 * steps)


def multiplies(countable):
    import torch

    matrix = torch.ones(10, 10)
    return lambda steps: [matrix @ matrix for _ in range(steps)]


def fails(countable):
    played = []

    def play(steps):
        played.append(steps)
        if len(played) > 3:
            raise ValueError("on purpose")
        time.sleep(0.01 * steps)

    return play
