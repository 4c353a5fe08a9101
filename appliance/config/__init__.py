"""cluster.yaml becomes a frozen Cluster, or a ConfigError with every problem and its line.

The path of a value: `reading` (text to tree) → `validation` (tree to the values of `vocabulary`, a problem for
each that is refused) → `draft` (what follows from them, each with its place; partial if the file has mistakes)
→ `checks` (what must hold between values) → `build` (a complete draft to the Cluster).

To add a key:

1. `vocabulary`: the field with its type from `words` and its description. Validation, JSON schema, "did you mean"
   and completion follow from it; `ocp-appliance schema` writes data/cluster.schema.json.
2. `build`: the field of the Cluster. If a check needs the value, or others follow from it, derive it in `draft`
   and take it from there; nothing else may derive it again.
3. `checks/`: what must hold, compared in the draft and reported at a place of the draft.
4. docs/cluster-yaml.md and data/ocp45/cluster.yaml. Tests fail until both have the key.
"""

from appliance.config.build import state_dir_of
from appliance.config.loading import Checked, check, load, render_agent_config

__all__ = ["Checked", "check", "load", "render_agent_config", "state_dir_of"]
