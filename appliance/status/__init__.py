"""What is reported about machines: `view` and its `shapes`, a boot's `timeline`, and how things are spelled.

The dashboard, the control socket and every command report from here, so that
they say the same. `install/` and `state/` import nothing from here.
"""
