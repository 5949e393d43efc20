"""The pages of the portal, one module a page; `pages` is their table."""
