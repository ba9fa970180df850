"""Host: the files and threads of the system that this runs on."""
