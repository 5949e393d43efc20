"""What Marketing Cloud calls: Resolve, Get Token and the token endpoint. `resolve.py` is the hot path."""
