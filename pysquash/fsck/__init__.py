"""Fsck: finds the rules of the format that an image breaks. Modules have the names of those in the reader whose parts
they check; see check for the way through them.
"""
