"""Data sets: found, decoded once into a cache of uint8, and handed out from the device. One file per data set."""
