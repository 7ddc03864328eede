"""Types, errors, schedules and data facts that every other package may use."""
