"""What an erasure takes, and what it leaves. Standard library only.

Taken: the id and every feature value of the customer's predictions in the log, stored replies that name him, the id of his outcomes, his
contacts. Kept as figures without a name: scores, decisions, labels, arms, so that every count and sum stays. A suppression outlives the
id as a salted hash.
"""

from __future__ import annotations

# What stands for the id of an erased customer begins so.
ERASED_BEGINS = "erased-"
# (what, why and what to do): told with every receipt, so that nobody takes an erasure for more than it is.
LEFT: tuple[tuple[str, str], ...] = (
    (
        "files in object storage",
        "uploaded lists, call sheets, files of excluded and refused rows, snapshots of training data and reports hold what they were made "
        "of; delete the objects, or let the bucket's lifecycle do it",
    ),
    (
        "models that were trained with the customer's row",
        "a package holds 32 rows of features without ids for its self-test, and trees learned from all rows; train anew on a snapshot "
        "without the customer",
    ),
    (
        "a feature that every customer of one request shared",
        "it is stored once for all of them, and says of this customer what it says of every other one",
    ),
    ("scores, decisions, labels and arms", "kept without id and features, so that figures still add up"),
    ("backups and replicas of the database", "they end with their own retention; after a restore, erase again: the receipts are the list"),
    ("other spellings of the id", "the log is searched for the id as it was sent; erase each spelling that was used"),
)
