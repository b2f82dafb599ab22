"""Where the CAN frames of user-space sockets go."""
