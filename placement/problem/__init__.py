"""The placement problem in whole numbers: jobs, their options, capacity, money and branches."""
