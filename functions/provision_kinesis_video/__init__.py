"""Provisions streams at Amazon Kinesis Video Streams."""
