"""What Linux says, each fact once: constants, releases, interfaces."""
