"""HTTP for booting machines (RFC 9110, RFC 9112): scripts, boot loaders, images and Ignition files."""
