"""What makes a packaged model trustworthy, in the path from package to server.

    components, sbom   what is in it (CycloneDX)
    scanning           what is dangerous in it, found without loading it
    signing            who made it: provenance, signatures of cosign's and of GPG's form
    policies           what may be deployed, and whether an image may
    sandbox            a process with limits and no network, in which the untrusted is opened
    attachments        where bill, report, provenance and signatures of an image are kept
    attaching          all of it, as the `package` task does it

Everything works on an OCI layout in a folder, or on plain files; nothing here needs a registry.
"""
