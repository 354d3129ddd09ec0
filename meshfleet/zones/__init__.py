"""Two levels: each zone is a mesh of its own, and a few delegates of each tell the others of it.

    delegates   who of a zone speaks for it
    bridge      what a delegate hands on: its zone's sums to the delegates of others, and theirs into its own zone
    seen        what any node knows of other zones by that

Above are two of the very members that a fleet on one level has. Nothing here does I/O or has a clock. docs/zones.md.
"""
