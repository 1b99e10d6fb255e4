"""Whether the project, or a machine, became faster or slower: one run held against another.

Everything here reads stored rows and measures nothing.
"""
