"""`python -m pysquash` is the command `pysquash`."""

from pysquash.cli import main

if __name__ == "__main__":
    main()
