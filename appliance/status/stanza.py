"""The entry in cluster.yaml that would make an unknown machine a host, to copy and complete."""

from appliance.status.shapes import StrangerRow


def stanza(machine: StrangerRow, vendor: str) -> str:
    """Return the entry for `hosts:` in cluster.yaml that would add *machine*; *vendor* becomes a comment, if not ""."""
    # x86_64 is the default and needs no line.
    arch = "  arch: aarch64\n" if "arm64" in machine["arch"] or "aarch64" in machine["arch"] else ""
    comment = f"  # {vendor}" if vendor else ""
    # Quoted, because YAML 1.1 reads a bare MAC address of decimal digits as a number in base 60.
    return (
        f'- hostname: NAME  # choose a name\n  role: worker\n  macAddress: "{machine["mac"]}"{comment}\n{arch}'
        "  address: ADDRESS  # choose a free address in its machine network"
    )
