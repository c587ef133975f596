"""Functions written for comparison, each as a certain kind of author writes it. All open a Cloudflare live input."""
