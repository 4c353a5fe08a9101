"""What is reported about machines: `view` and its `shapes`, a boot's `timeline`, and the `spelling` of values.

The dashboard, the control socket and every command report from here, so they
agree. `install/` and `state/` import nothing from here.
"""
