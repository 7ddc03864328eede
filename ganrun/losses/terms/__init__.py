"""Terms that join an adversarial loss: penalties and auxiliary losses. One file per term."""
