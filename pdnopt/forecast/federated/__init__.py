"""Training without collecting: every node trains on its own circuits and shares weights only.

`coordinator` asks and averages, `node` trains, `messages` say what may pass between them, `transports` carry them (in this
process, or through a folder to nodes that are processes of their own), `privacy` clips and adds noise.
"""
