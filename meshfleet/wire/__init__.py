"""Bytes: how messages are written (CBOR) and how they are sealed (AEAD). `docs/protocol.md` says the same in prose.

Knows the messages and the fleet's keys; knows no socket, no clock and nothing of what the messages mean.
"""
