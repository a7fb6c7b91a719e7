"""What the operator's view shows, as plain values."""
