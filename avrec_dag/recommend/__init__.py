"""Who would want what: histories, a linear item model blended with content, quality, diversity, reasons, and their measurement."""
