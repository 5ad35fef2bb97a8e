"""`brokergate demo`: simulators, gateway, logins and one order, on this machine alone."""
