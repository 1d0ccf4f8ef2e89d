"""What deliveries become."""
