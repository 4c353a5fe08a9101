"""What the appliance has to know of OpenShift's own files: `ignition.inspect`, and the certificates inside (`x509`)."""
