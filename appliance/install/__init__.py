"""What the appliance remembers of every host's installation, and what follows from it."""
