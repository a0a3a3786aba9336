"""What is shown of results and traces."""
