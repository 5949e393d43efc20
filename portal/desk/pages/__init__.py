"""Every page of the portal: its route, the permission that it asks for, the methods that it answers."""

from typing import Final

from portal.desk.page import Page
from portal.desk.pages import evidence, operation, opt_outs, people

PAGES: Final[tuple[Page, ...]] = (*evidence.PAGES, *people.PAGES, *opt_outs.PAGES, *operation.PAGES)
