"""Where agents' states come from: the files that Claude Code, Codex and Gemini CLI write anyway.

    watch.py        which files there are, and which of them changed
    tail.py         one file: bytes -> whole lines, bounded
    claude_code.py  lines -> what is known of a session; pure     codex.py  the same for Codex
    usage.py        tokens and money, each response counted once   pricing.py  list prices and context windows
    processes.py    which sessions have a living process
    states.py       what is known of a session, at one moment -> AgentState; pure
    sessions.py     states -> Sink: only what changed; exits, silence, limits
    agents.py       all of it together: `watch_agents`
    sample.py       agents made up for the demo

Knows the fleet and Trio, never the node, the mesh or HTTP. Nothing of prompts, code, tool inputs or paths gets out of
the parsers: they copy numbers, names that look like names, and times.
"""
