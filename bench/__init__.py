"""What a cold start and a create cost, ours and others', in one run."""
