"""Compression: the blocks of an image (base, zstd, gzip, xz, uncompressed) and the streams of layers (stream).

The only importer of zstandard, isal, zlib, lzma and bz2.
"""
