"""OCI sources: container images, as layouts, archives and registries hold them. See image for the way from a name to
layers.
"""
