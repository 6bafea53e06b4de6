"""Lists of any size, scored as a stream: read in chunks, checked, scored, logged, ranked over the whole list, and written out.

``files`` opens a list; ``csv_*`` and ``parquet_file`` read one; ``scorer`` runs it; ``spool`` keeps what is done, so that a killed run
goes on where it was; ``ranking`` decides over the whole list; ``results`` writes what people and programs get.
"""
