"""Where `ocp-appliance` and `python -m appliance` begin."""

from appliance.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
