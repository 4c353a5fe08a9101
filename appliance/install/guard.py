"""Who may have which Ignition file now: pure decisions, no clock and no socket."""
