"""Files of opt-outs, and of bounces and complaints: read line by line, taken over in chunks by workers."""
