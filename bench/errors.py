"""Every error that a user can act on. Its message says what was found, what was expected and what to do, in one line.

The command line prints the message of a `BenchError` and exits with code 2. Any other exception is a bug of ours.
"""

from __future__ import annotations


class BenchError(Exception):
    """Base of all errors of this project that are not bugs in it."""


class RequestError(BenchError, ValueError):
    """A value, setting or combination of them that cannot be carried out."""


class UnknownNameError(BenchError, LookupError):
    """A name that nothing is registered or stored under; the message suggests names that exist."""


class SettingError(BenchError, TypeError):
    """A setting that the model's builder does not take."""


class PluginError(BenchError, TypeError):
    """A registered function of a plugin returns something else than it has to."""


class DataError(BenchError, ValueError):
    """A dataset folder, list or image is not what its card says; the message names the file."""


class LeakError(BenchError, ValueError):
    """Weights were trained on images that they are tested on, and that was not allowed."""


class RuleError(BenchError, ValueError):
    """An override that names no field, or gives a value that the field cannot take."""


class SuiteError(BenchError, ValueError):
    """A suite or a limit that cannot be carried out as written."""


class CheckpointError(BenchError, ValueError):
    """A file of weights is broken, unsafe, or of another network."""


class NonFiniteLossError(BenchError, ArithmeticError):
    """The loss became NaN or infinite, so that training stopped."""


class CostError(BenchError, RuntimeError):
    """The process that measured a network's cost ended before it answered."""


class WorkerError(BenchError, RuntimeError):
    """The process that ran an experiment ended before the experiment was done."""


class RecordError(BenchError, ValueError):
    """Plain content that does not have the form of a record; the message names the field."""


class StoreError(BenchError, ValueError):
    """A stored file is missing, broken or of another schema."""


class WriteError(BenchError, OSError):
    """A file cannot be written: the disk is full, the folder is read-only; the message names the path and the cause."""


class TrackingError(BenchError, RuntimeError):
    """The MLflow store cannot be reached or used."""


class StoreUriError(TrackingError):
    """The address of an MLflow store is of no kind that MLflow knows."""


class TableFileError(BenchError, ValueError):
    """A file that no table of published numbers can be read from."""


class TableError(BenchError, ValueError):
    """Rows that no table can be made of without a wrong comparison."""


class MixedRulesError(BenchError, ValueError):
    """A table would put numbers made under different rules into one column."""


class LatexError(BenchError, RuntimeError):
    """pdflatex did not make the document."""


class ProcessError(BenchError, RuntimeError):
    """The first of the processes that share a training failed."""


class BrokenGroupError(ProcessError):
    """One of the processes that share a training failed alone or ended, so that the others cannot go on.

    Attributes:
        own: whether it is this process that failed.
    """

    def __init__(self, message: str, *, own: bool) -> None:
        super().__init__(message)
        self.own = own
