"""Loaded by Python in a child with this folder on its path: a person who presses Ctrl-C while the first library is read."""

import os
import signal
import sys


class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupt())
