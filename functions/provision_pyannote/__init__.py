"""Live diarization streams at pyannoteAI."""
