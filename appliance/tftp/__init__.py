"""TFTP for booting machines: boot loaders and iPXE's autoexec script, read-only (RFC 1350, 2347, 2348, 2349, 7440)."""
