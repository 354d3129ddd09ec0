"""`meshfleet connect`: sets a runtime up to tell its node what it does, and takes that back.

jsontext   edits of a JSON text that leave the rest of it byte for byte as it was
hooks      our entries among a runtime's hooks
claude, codex, gemini, opencode   what each runtime's settings need
telling    the small script that hooks run
files      reading and replacing settings files, and what is remembered for `--undo`
command    the command
"""

from __future__ import annotations
