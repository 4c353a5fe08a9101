"""What is remembered across a restart: installations, events, unknown machines and SOA serials.

`Store` is the interface of every store, `FallbackStore` the one on disk, and `Journal`
what the registry writes through.
"""
