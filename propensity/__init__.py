"""The domain of the propensity platform: whom a bank should contact, why, and what it is worth."""
