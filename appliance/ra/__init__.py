"""Router advertisements: sent where no router does, and read where routers send their own (RFC 4861)."""
