"""Makes a request that a webhook accepts, and signs it as its sender would."""
