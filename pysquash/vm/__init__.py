"""VM: what a virtual machine needs of its root beyond what is in the layers: mount points, configuration, owners.

Each module is one concept; api puts them together. docs/vm.md is what users read of it.
"""
