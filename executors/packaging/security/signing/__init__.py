"""Who made an image: provenance, and signatures that others verify too.

keys         ECDSA P-256 keys in PEM files; passphrases by environment or file
envelopes    DSSE, in which attestations are signed
provenance   in-toto statements with SLSA's provenance and other predicates
cosign       signatures of images in cosign's form
gpg          simple signing by GPG, which skopeo and podman verify
"""
