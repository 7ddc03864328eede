"""Networks: tensors in, tensors out. They know nothing of losses, players or data sets."""
