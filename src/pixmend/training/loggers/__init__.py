"""Logs of a training in the form of other libraries: one file each, and the registry that names them."""
