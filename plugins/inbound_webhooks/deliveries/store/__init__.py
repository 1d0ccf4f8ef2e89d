"""Where the endpoint reads webhooks and commits deliveries, in batches."""
