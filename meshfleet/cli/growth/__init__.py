"""`meshfleet bench growth`: what a node costs and how fast news is, against the size of the fleet."""
