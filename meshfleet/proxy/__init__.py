"""A proxy on this machine between a command-line agent and its model provider, which reads what is left of a key.

    upstreams.py   where requests go: `/anthropic/…` to https://api.anthropic.com/…
    passing.py     one request there and its answer back, byte for byte, as they come
    watching.py    what is read on the way: rate-limit headers, Ollama's counts
    server.py      listening, on loopback alone

Nothing is stored or logged of keys, bodies, paths or queries. What fails upstream fails the same way for the client.
"""
