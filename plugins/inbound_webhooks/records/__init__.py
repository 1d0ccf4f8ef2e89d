"""Values that storage returns and all layers share."""
