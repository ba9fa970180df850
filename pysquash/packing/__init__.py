"""Packing: how layers become an image."""
