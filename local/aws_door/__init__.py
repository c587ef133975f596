"""A proxy before the AWS emulator: every call of every function passes it, and goes wrong there on demand.

It has the control routes of `local.door`, its own name being "aws". Operations are named as in `dynamodb.PutItem`.
"""
