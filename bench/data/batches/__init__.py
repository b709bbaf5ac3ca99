"""Batches of tensors from images: augmented, resized, cropped, padded."""
