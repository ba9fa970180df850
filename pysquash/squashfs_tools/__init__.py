"""mksquashfs and sqfstar, option for option: the entry modules are pysquash/mksquashfs.py and pysquash/sqfstar.py."""
