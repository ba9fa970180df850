"""Options: what a caller may choose, by concern, checked once."""
