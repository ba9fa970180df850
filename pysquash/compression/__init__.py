"""Compression: the blocks of an image (base, zstd, gzip, xz, lz4, lzo, lzma, uncompressed) and the streams of layers
(stream).

The only importer of zstandard, isal, zlib, lzma, bz2, lz4, lzallright and lzo.
"""
