"""What goes wrong on the edge, said in one sentence: what, where, and what to do."""


class EdgeError(Exception):
    """Something failed; the message is one sentence for a person, and the command exits with 1."""

    exit_code = 1


class EdgeUsageError(EdgeError):
    """The request itself is wrong (unknown name, two images with one output); the command exits with 2."""

    exit_code = 2


class BundleError(EdgeError):
    """A bundle is damaged, unsafe, or written for another version; none of it is used."""


class SourceEndError(EdgeError):
    """A source has nothing more to give: all its files are done."""


class CorruptFrameError(EdgeError):
    """One frame could not be read; the next one may be."""


def brief(error: BaseException, length: int = 160) -> str:
    """Give what a library says of an error, to be part of a sentence: one printable line of at most `length`."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."
