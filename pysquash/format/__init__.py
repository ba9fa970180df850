"""The bytes of SquashFS 4.0: constants, records (the declaration), the codec derived from them, bit-packed words."""
