"""The shapes of clear values and tokens: normalising, masking, drawing, recognising.

Pure functions without Django or a database; everything here works on text alone.
"""
