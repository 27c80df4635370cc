"""What happens inside the first stage of an environment's Dockerfile, after its wheels are installed."""
