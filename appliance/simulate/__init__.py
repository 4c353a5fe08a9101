"""Machines that boot from the network without hardware: firmware, iPXE, installer and installed system.

Their side of every protocol is written here a second time, from the RFCs and from
what real firmware sends, and shares nothing with the servers.
"""
