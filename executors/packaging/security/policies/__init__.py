"""What may be deployed.

policy    the rules, and the default ones
reading   the rules from YAML, with every fault at its line
judging   whether an image may be deployed, and each reason why not
gate      what a model server asks before it loads
"""
