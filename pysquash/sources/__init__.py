"""Sources: whatever holds a layer's entries. A tar stream, a directory, an OCI image, another SquashFS image."""
