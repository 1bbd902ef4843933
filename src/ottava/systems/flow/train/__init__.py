"""What the flow of information needs torch for: networks that are torch modules, and pruning them."""
