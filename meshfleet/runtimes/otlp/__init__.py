"""Telemetry that other programs send: OTLP requests -> what is known of sessions.

    plain.py          records as every dialect sees them: only the attributes that somebody asked for
    from_json.py      OTLP/JSON -> plain records           from_protobuf.py   the same for protobuf, an extra
    series.py         points of counters -> what was added, by their temporality
    told.py           what a dialect makes of one record
    claude_code.py, codex.py, gemini_cli.py, genai.py      one dialect each: its names, its versions, its mapping
    dialects.py       which dialect a record is in
    session.py        what was told of one session, summed up -> SessionRecord
    intake.py         all of it together: a request's body -> Desk

Content never gets past the decoders: attributes are taken by name from a list, bodies of log records not at all.
docs/otlp.md has the tables.
"""
