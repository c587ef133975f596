"""Every minute: who needs attention is found, and its provider's function told."""
