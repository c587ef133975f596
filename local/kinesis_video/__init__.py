"""Kinesis Video Streams on one machine: moto's server with what it lacks, behind a door."""
