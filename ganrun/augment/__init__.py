"""What every sample passes through on its way to a discriminator; one file each."""
