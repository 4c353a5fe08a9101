"""ocp-appliance adopt."""

from appliance.cli._ordering import order_command

command = order_command(
    "adopt",
    "Count HOSTS as installed: they boot from their disks, and nothing is wiped.",
    outcome="count as installed and boot from {their} own disk from now on",
)
