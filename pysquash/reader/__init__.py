"""The reader: gets out of an image what the writer puts in. Modules mirror the writer's of the same name; see image."""
