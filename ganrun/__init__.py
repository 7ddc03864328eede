"""ganrun: train and compare generative adversarial networks from composable configuration."""

__version__ = "0.1.0"
