"""Checks of untrusted files that never load them: the built-in `Scanner` and its parts.

members        files, and what lies inside archives and compressed files, within limits
archives       traversal, links, devices, bombs, duplicate names
pickles        what a pickle would import and call, by following its instructions
formats        what a file is, by its content; native code, ONNX with outside data, Lambda layers
credentials    keys, tokens and passwords
requirements   what is not pinned, or comes from a second index
licences       what installed distributions say of theirs
offline        all of them, as the port `Scanner`
auditing       known vulnerabilities, by pip-audit or OSV where reachable
"""
