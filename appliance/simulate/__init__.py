"""Machines that boot from the network without hardware: firmware, iPXE, installer and installed system.

The client side of every protocol is implemented here independently, from the RFCs and
from what real firmware sends. It shares no code with the servers, so that a mistake on
one side is not repeated on the other. `plan` prepares a machine, `power` switches it on.
"""
