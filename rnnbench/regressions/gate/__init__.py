"""The gate: whether a commit is slower than another, told with error rates that hold.

builds       both commits, and the base once more, built by asv in environments of their own
worker       times benchmarks inside one of them; rounds    one process of each, in turn
signed_rank  the test; sequential    when to stop and what to say, with what is promised
evidence     rounds taken in one by one; result, report    the answer; run    all of it
"""
