"""What sets a delivery going: webhooks of GitLab and GitHub, a watched folder, CI files.

The plain git hook is written by `executors.packaging.repository.git`.
"""
