"""Images and masks as arrays: found, decoded, generated, corrupted."""
