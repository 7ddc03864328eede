"""Adversarial losses (one file each), the terms that join them (``terms/``) and the objective that combines both."""
