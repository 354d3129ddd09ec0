"""`meshfleet run -- COMMAND`: any command, with the mesh beside it.

    arguments.py    the words of the command line, read without the command's parser
    environment.py  what the command finds in its environment; pure
    lines.py        the JSON lines that it may write to MESHFLEET_FD -> fields of a state; pure
    process.py      starts it, passes signals on, waits for it
    telling.py      tells the node what it does
    running.py      all of it together

The command comes first: it is started before anything is imported, asked or sent that it does not need itself, and
whatever fails afterwards fails silently beside it. Its exit code is ours.
"""
