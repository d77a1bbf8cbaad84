"""A git repository for each model, and what a push to it sets going.

Git holds code, requirements, configuration and digests; the weights have a store of their own.
`delivery.Delivery` takes a commit through tests, image and golden requests to a server.
"""
