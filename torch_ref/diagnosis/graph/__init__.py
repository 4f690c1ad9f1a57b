"""Which edit of autograd's own computation gives the candidate's numbers: mistakes of any network, by name.

trace: results and gradients of a case as one graph of primitive operators, and its replay with some of them edited.
textbook: what torch fuses, taken apart as a textbook has it, so that its terms are nodes.
edits: what may have gone wrong at a node. search: which of it, at which nodes. words: how that is said.
"""
