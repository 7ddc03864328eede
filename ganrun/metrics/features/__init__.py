"""Feature extractors that image metrics share."""
