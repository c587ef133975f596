"""StreamCreated → its lease renewed and its lifetime ended, beat by beat."""
