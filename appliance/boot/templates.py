"""The templates of what boot programs are told, in ipxe/.

The one rule: a placeholder is @{name}, because iPXE and GRUB expand ${name} themselves.
"""

from functools import cache
from string import Template

from appliance.share import share


class _AtTemplate(Template):
    delimiter = "@"


@cache
def template(file: str) -> Template:
    """Return the template in ipxe/*file*."""
    return _AtTemplate((share("ipxe") / file).read_text(encoding="ascii"))
