"""The programs of the workflow, one for each rule that computes."""

import sys

from graft.study import preload

# If there is a server, run the program there, before it imports anything here.
if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].startswith(f"{__name__}."):
    preload.run_there(sys.orig_argv[2], sys.orig_argv[3:])
