"""Drawing samples from a trained game, and pictures of them."""
