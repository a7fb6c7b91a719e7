"""Models of who would want what, behind one protocol (`base.Model`)."""
