"""What other packages need to work over our sockets; each module needs its package, an extra."""
