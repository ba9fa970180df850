"""Extract: an image as files of the host."""
