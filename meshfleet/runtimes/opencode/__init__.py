"""opencode's servers on this machine: what their event streams and answers tell of sessions.

    telling.py   the JSON of events and answers, by allow-list; pure
    session.py   what is known of one session; pure
    server.py    events and answers of one server -> sessions that changed; pure
    reading.py   one task per server: connects, listens, asks, tries again

Checked against 1.18.33. Text, tool inputs and outputs travel on the stream: they are skipped where they stand.
"""

RUNTIME = "opencode"
