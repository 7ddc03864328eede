"""Latent distributions."""
