"""Scores divided by the discriminator's own slope. One file per normaliser."""
