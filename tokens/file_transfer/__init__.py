"""Files that an SFTP server hands to us or takes from us (docs/no-token-queue.md)."""
