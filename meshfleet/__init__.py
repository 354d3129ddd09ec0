"""meshfleet: a gossip mesh without a hub that shows every AI agent of a fleet, from any node."""

__version__ = "0.1.0"
