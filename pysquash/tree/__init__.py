"""The tree: what a source yields (entry), what the image holds (node), and how layers become one tree (merge)."""
