"""What storage returns and all layers share: pure values."""
