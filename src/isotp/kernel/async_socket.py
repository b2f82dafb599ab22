class AsyncSocket:
    pass
