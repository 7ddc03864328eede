"""What samples pass through before a discriminator sees them. One file per augmentation."""
