"""What is on record of one person, as one account: the timeline, and the pack that answers an access request."""
