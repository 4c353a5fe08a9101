"""cluster.yaml becomes a frozen Cluster, or a ConfigError with every problem and its line."""

from appliance.config.build import state_dir_of
from appliance.config.loading import Checked, check, load

__all__ = ["Checked", "check", "load", "state_dir_of"]
