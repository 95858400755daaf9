"""Loaded by Python in a child with this folder on its path: counts the writes made durable, and dies at one for real.

Those of other threads, which flush an unpacked folder file by file before its rename, are not counted.
KILL_COUNT names a file that gets one byte a sync or rename; with KILL_AT=N the process kills itself right before the Nth.
"""

import os
import signal
import threading

if "KILL_COUNT" in os.environ:
    _at = int(os.environ.get("KILL_AT", "0"))
    _parent = os.getpid()
    _seen = 0

    def _watched(function):
        def watching(*arguments, **options):
            global _seen
            if os.getpid() == _parent and threading.current_thread() is threading.main_thread():
                _seen += 1
                with open(os.environ["KILL_COUNT"], "ab") as file:
                    file.write(b".")
                if _seen == _at:
                    os.kill(_parent, signal.SIGKILL)
            return function(*arguments, **options)
        return watching

    os.replace, os.fsync = _watched(os.replace), _watched(os.fsync)
