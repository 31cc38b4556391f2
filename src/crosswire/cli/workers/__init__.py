"""The processes of `crosswire serve`: a supervisor, and one worker for each."""
