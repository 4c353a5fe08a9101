"""The lines of cluster.yaml that would make an unknown machine a host."""

from appliance.status.shapes import StrangerRow


def stanza(machine: StrangerRow, vendor: str) -> str:
    """Return the lines for `hosts:` of cluster.yaml that would make *machine*, whose card *vendor* made, a host."""
    # Quoted: YAML 1.1 reads a bare MAC address of decimal digits as a number in base 60.
    arch = "  arch: aarch64\n" if "arm64" in machine["arch"] or "aarch64" in machine["arch"] else ""
    comment = f"  # {vendor}" if vendor else ""
    return (
        f'- hostname: NAME  # choose one\n  role: worker\n  macAddress: "{machine["mac"]}"{comment}\n{arch}'
        "  address: ADDRESS  # a free one of its machine network"
    )
