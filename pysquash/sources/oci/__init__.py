"""OCI sources: container images, as layouts, archives and registries hold them. See image for the way from a name to
layers.
"""

TRANSPORTS = frozenset({"oci", "oci-archive", "docker-archive", "docker"})
"""What a source string of an image begins with, in front of the colon."""
