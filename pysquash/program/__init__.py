"""Program: what each command needs of its process."""
