"""`meshfleet top`: the fleet on a full screen, live.

    command.py     finds a node, and starts the program
    app.py         the program: pages, keys, what is shown when
    following.py   the thread that reads views
    reading.py     a view as time goes on
    grid.py        a table of any length, of which only what is seen is drawn
    agents.py, nodes.py, limits.py   what the columns of each page say
    heading.py     who serves, sums, the banner, what needs somebody
    detail.py      all about one agent or node, with the evidence
    commands.py    what `:` takes
    columns.py, looks.py   which columns there are, and how somebody likes to look, kept
    plainly.py     what others say, so that no terminal obeys it
    glance.py      ages, bars and words in few characters

It reads a node over HTTP, as any reader does. Textual, which runs on asyncio, is imported by this package alone.
"""
