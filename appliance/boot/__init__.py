"""Network boot: what a machine loads next, and under which URL."""
