"""What the appliance has to know about OpenShift: its Ignition files (`ignition`, `x509`) and its names (`names`)."""
