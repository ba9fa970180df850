"""Edits: what callers add to, take out of, or change in the tree of all layers."""
