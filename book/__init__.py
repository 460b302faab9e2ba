"""The book: its chapters lie beside this file, its Sphinx extensions in `_ext`."""
