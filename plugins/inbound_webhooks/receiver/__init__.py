"""From a request to a committed delivery and an answer."""
