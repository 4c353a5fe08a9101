"""The life of a host's installation, as pure functions over a record of it.

`lifecycle.advance` takes a record and an event and returns the record after it (its
table is the place to begin reading); `conditions` says why a host makes no progress;
`guard` who may have an Ignition file now; `owners` which record is whose after
cluster.yaml changed. `activity`, `strangers` and `certificates` are short-lived facts
beside it: what a host is doing at this moment, machines in no cluster.yaml, and
when Ignition files expire. Nothing here uses a disk, a socket or the registry above it.
"""
