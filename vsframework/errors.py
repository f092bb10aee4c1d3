"""What goes wrong, said in one sentence: what, where, and what to do."""


class VsfError(Exception):
    r"""Something failed; the message is one sentence for a person, and the command exits with 1.

    A name of a file or channel may hold anything; line breaks and terminal codes in it are written out.

    >>> print(VsfError("a\nb.tif is empty"))
    a\nb.tif is empty
    """

    exit_code = 1

    def __str__(self) -> str:
        said = super().__str__()
        return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in said)


class UsageError(VsfError):
    """The request itself is wrong (unknown name, bad parameter); the command exits with 2."""

    exit_code = 2
