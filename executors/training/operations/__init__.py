"""The models of operations as templates: forecast, anomaly detector, root-cause locator.

`template` names them and what each makes; `series` and `cases` read what they learn from;
`forecast`, `anomaly` and `locate` train them; `task` is the `train` task of a pipeline, `folder`
what `berth train NAME --data FILE` writes. torch is imported only where networks are trained.
"""
