"""Where the scenarios come from; they are data, so playing them does not need it."""
