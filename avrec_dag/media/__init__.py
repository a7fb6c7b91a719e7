"""Media in: which uploads there are, what each one is, and its pictures and sound as arrays."""
