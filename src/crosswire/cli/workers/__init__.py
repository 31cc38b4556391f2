"""The processes of ``crosswire serve``: a supervisor and its workers."""
