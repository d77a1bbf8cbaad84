"""Packages models as OCI images, keeps them by name, and reads them back with every digest checked.

`OciRegistry` keeps images; `images.read_image` reads one; `python -m executors.tasks package`
makes one.
"""
