"""Music as symbols: instruments, scores, bars and grids."""
