"""The No Token Queue: what people wrote while Marketing Cloud had no token for them (docs/no-token-queue.md).

An extract is read line by line (`reading`, `recipes`), judged (`wording`) and taken over (`extracts`, `taking`); people
decide what is unclear (`deciding`). `chains` finds the tries that may still be saved, and `reconcile` says whether
everything in the queue is explained by what we saw ourselves.
"""
