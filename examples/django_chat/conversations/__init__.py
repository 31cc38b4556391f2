"""Conversations in rooms: messages are saved by a view, and seen at once by everybody in the room."""
