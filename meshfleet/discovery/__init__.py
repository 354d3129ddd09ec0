"""Where a node looks for the rest of its fleet: a file, DNS, DNS-SD on the LAN, Consul; any mix, a file each here.

A source gives addresses to try, and nothing more: who is at one is known by its certificate, when it is joined. So none
is trusted, and one that lies costs a few connections. docs/discovery.md says which to use.
"""
