"""Colours that the colour-blind tell apart too (Okabe & Ito, *Color Universal Design*, 2008)."""

BLACK = "#000000"
ORANGE = "#e69f00"
SKY = "#56b4e9"
GREEN = "#009e73"
BLUE = "#0072b2"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"

PADDING_LEVEL = 64
"""Grey, of 255, of the lines between the images of a grid: seen between black images and between white ones."""
