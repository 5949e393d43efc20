"""The two ways between an exchange and the payload log: recording it, and rebuilding what was said."""
