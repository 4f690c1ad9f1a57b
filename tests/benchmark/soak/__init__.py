"""Right code on very many cases: is any of it rejected?"""
