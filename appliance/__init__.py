"""DNS, DHCP, TFTP, HTTP and iPXE for an OpenShift installation, from one file and in one process."""

__version__ = "0.1.0"
