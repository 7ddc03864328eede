"""Optimizers as plain functions of the parameters, with the fast settings switched on."""
