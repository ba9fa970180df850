"""pysquash: turn tar layers into SquashFS 4.0 images, in pure Python."""

__version__ = "0.1.0"
