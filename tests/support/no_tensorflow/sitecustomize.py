"""Loaded by Python in a child with this folder on its path: a machine on which TensorFlow is not installed."""

import sys


class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Bar())
