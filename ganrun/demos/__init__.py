"""Demonstrations: small games whose truth is known in closed form, played with the losses and penalties of ganrun."""
