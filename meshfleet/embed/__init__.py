"""meshfleet inside an agent's process: one object that tells the fleet what the agent does, and never gets in its way.

`meshfleet.Agent` is the one name to use; docs/python.md shows how.
"""
