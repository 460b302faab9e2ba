"""The book's own Sphinx extensions, one purpose a module."""

VERSION = "1"
