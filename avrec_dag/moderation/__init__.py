"""What may be shown: scores by a model, a policy per deployment, and people whose decision beats both."""
