"""The writer: turns a tree and its files' content into an image. One module for each part of the image; see image."""
