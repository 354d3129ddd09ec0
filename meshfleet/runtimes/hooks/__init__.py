"""Hooks and status lines: what a runtime tells its node of itself, while it happens.

events     what a hook can say, whoever said it
claude     Claude Code's hooks -> events; `statusline` its status line -> a record
codex      Codex's hooks -> events
gemini     Gemini CLI's hooks -> events
doing      events -> what one session does
intake     all of it -> the desk
"""

from __future__ import annotations
