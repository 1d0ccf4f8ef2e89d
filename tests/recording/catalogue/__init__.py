"""Where the scenarios come from. Played scenarios are data: this is needed to add to them, not to play them."""
