"""What is remembered across a restart: installations, events, unknown machines, SOA serials, the token secret."""
