"""What is remembered across a restart.

`Store` is what any store offers, `FallbackStore` the one on disk, and `Journal` what the registry writes it through.
"""
