"""The campaign report: whom a campaign contacted, what that was expected to bring, and what it brought.

``tree`` holds the figures and nothing else; ``build`` makes them from the prediction log and the outcomes, in one pass and bounded memory;
``page`` draws them as one HTML document. No figure is computed while drawing, and nothing is drawn while computing.
"""
