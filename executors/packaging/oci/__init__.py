"""OCI images without a daemon or privilege: layers are appended as files, then pushed.

`builder.build` makes an image from a recipe; `distribution.Registry` pushes and pulls it.
"""
