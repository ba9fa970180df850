"""Content: the bytes of files between their source and the image."""
