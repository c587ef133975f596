"""What a caller may ask of pyannoteAI: nothing, since its create request has no fields."""

from headwater.provider import Options


class PyannoteOptions(Options):
    """A live stream. Source: pyannoteAI's API reference, "Create Stream": its body is an object without properties."""
