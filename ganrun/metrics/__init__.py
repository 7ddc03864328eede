"""Metrics: scores of generated samples, computed by ``base.Evaluation``. One file per metric."""
