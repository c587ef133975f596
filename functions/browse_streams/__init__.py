"""Lists streams across providers, and what each provider can do."""
