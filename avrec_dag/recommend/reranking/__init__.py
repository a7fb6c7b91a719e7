"""From scores to a list: what may stand on it, spread over content, in the person's own mix of classes, not too much of one creator."""
