"""What goes wrong, said in one sentence: what, where, and what to do."""


class VsfError(Exception):
    """Something failed; the message is one sentence for a person, and the command exits with 1."""

    exit_code = 1


class UsageError(VsfError):
    """The request itself is wrong (unknown name, bad parameter); the command exits with 2."""

    exit_code = 2
