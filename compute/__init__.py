"""The compute package of Project Azimuth: pure geometry below, disk above it, the named results of the book on top."""

__version__ = "0.1.0"
