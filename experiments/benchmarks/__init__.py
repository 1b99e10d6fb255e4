"""The project's own speed, for asv: kernels, compilation, the runner, and the start of a command.

The suite runs against old commits too, so it calls the public face only. Three rules keep histories whole: parameters
are plain strings and numbers, each class carries an explicit `version` that changes when its numbers stop being
comparable, and `setup` raises NotImplementedError for what a commit cannot do yet, which asv records as skipped.

Kernels compile in `setup` with the very signature that is timed. Their machine code is kept in a folder named by a hash
of their source, so that every commit has its own without anything being set here.
"""
