"""ocp-appliance reinstall."""

from appliance.cli._ordering import order_command

command = order_command(
    "reinstall",
    "Reinstall HOSTS at their next network boot, which wipes their disks.",
    outcome="be wiped and reinstalled at {their} next network boot",
)
