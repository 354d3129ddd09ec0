"""One run as one page: what was so, what was said of it, and how well the two agree. Nothing outside the page is
fetched, and without its few lines of script it shows the same."""

from meshfleet.sim.report.page import page

__all__ = ["page"]
