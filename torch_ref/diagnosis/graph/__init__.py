"""Which edit of autograd's own computation gives the candidate's numbers: mistakes of any network, by name.

trace: results and gradients of a case as one graph of primitive operators. tracing: how it is made.
textbook: what torch fuses, taken apart as a textbook has it, so that its terms are nodes.
replaying: the graph computed again, with edits.
influence: at which gradients the mistake may be, from the numbers alone. entry: how that is said if nothing is found.
edits: what may have gone wrong at a node. attempts: which of it is tried, where, in which order. combined: two of it.
search: what of it gives the candidate's numbers. words: how that is said.
detector: all of it, and a last case that the search has not seen.
"""
