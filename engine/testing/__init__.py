"""What implementations of the ports, ours and other people's, are tested with.

The modules `*_suite` hold one conformance suite for each port and need pytest; clocks, fakes and
crash points do not.
"""
