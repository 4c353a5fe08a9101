"""What is told of machines, for the dashboard, the control socket and every command alike."""
