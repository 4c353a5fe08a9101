"""ocp-appliance release."""

from appliance.cli._ordering import order_command

command = order_command(
    "release", "Let held HOSTS continue. Those that wait at iPXE or for their Ignition do so within seconds."
)
