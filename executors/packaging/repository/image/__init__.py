"""The image of a pushed model: built and pushed, asked, attested.

building    layers, libraries unpacked, push of image and attachments
asking      the image's server, started without a container
golden      the requests that it, and what serves, have to answer
attesting   bill, provenance, scan, signature; the policy's word
"""
