"""The readers of recordings by the names that the command line uses."""

from .readers import Frames, Reader, UnreadableError, open_recording

__all__ = ["Frames", "Reader", "UnreadableError", "open_log"]

open_log = open_recording
