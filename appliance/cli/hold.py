"""ocp-appliance hold."""

from appliance.cli._ordering import order_command

command = order_command("hold", "Make HOSTS wait at iPXE, before they download a kernel or their Ignition.")
