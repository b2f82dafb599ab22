class socket:
    pass
