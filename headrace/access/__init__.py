"""Who may do what, and what they see: one policy for the gateway and for every service that is reached over the network."""
