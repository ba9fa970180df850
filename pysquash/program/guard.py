"""Guard: runs a program so that, however it ends, it prints at most one line for that, and exits with the right code.

In: a program's name, and the function that is its body. Out: the end of the process.
Rules kept here: SIGINT, SIGTERM and SIGHUP unwind the stack, so that no temporary file stays, and exit with 128 plus
the signal's number; a signal that the parent process ignores (`nohup`, a shell's background job) stays ignored. A
standard stream that is closed is an error when it is used, and never another file that got its number. An error is one
line, whatever characters names have; so are missing memory and an interrupt while modules are imported: this module
and those that import it before they call `run_guarded` import as little as possible.
Not here: what programs print (cli/console, squashfs_tools/console).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

__all__ = ["Signalled", "run_guarded"]

_SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hangup"}
_SIGINT = 2
_OUTPUT_NAME = "standard output"
_DELIVERY_SECONDS = 0.01


class Signalled(BaseException):
    """A signal that ends the program; like KeyboardInterrupt, only the guard catches it.

    Attributes:
        number: The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_guarded(program: str, run: Callable[[], int], *, usage_code: int = 1) -> NoReturn:
    """Run a program, and exit.

    Args:
        program: What error messages begin with.
        run: The program; returns the exit code. What it needs is imported when it is called.
        usage_code: The exit code of an `OptionError`.
    """
    no_memory = f"{program}: out of memory\n".encode()  # there may be no memory for it when it is needed
    try:
        try:
            _open_closed_streams()
            _name_output()
            _handle_signals()
            code = run()
            # What is buffered must fail here, not at interpreter exit.
            sys.stdout.flush()
        except BaseException as error:
            # A second Ctrl-C ends the process at once: what the program made is removed by now.
            _restore_signals()
            line, code = _judged(error, usage_code)
            if line:
                _print_error(f"{program}: {line}")
        else:
            _restore_signals()
    except MemoryError:
        _write_error(no_memory)
        code = 1
    except KeyboardInterrupt:
        code = 128 + _SIGINT
    sys.exit(code)


def _judged(error: BaseException, usage_code: int) -> tuple[str, int]:
    """Return the line, "" for none, and the exit code that an exception stands for. Raise all others again."""
    from pysquash.errors import OptionError, SquashfsError  # noqa: PLC0415 - see run_guarded

    if isinstance(error, KeyboardInterrupt):  # it came before our handlers were there
        error = Signalled(_SIGINT)
    if isinstance(error, Signalled):
        return _signal_text(error.number), 128 + error.number
    if isinstance(error, BrokenPipeError):
        _discard_output()  # the reader of our output has what it wanted
        return "", 1
    if isinstance(error, SquashfsError):
        return str(error), usage_code if isinstance(error, OptionError) else 1
    if isinstance(error, OSError):
        if error.filename == _OUTPUT_NAME:
            _discard_output()
        name = f"{_text(error.filename)}: " if error.filename else ""
        return f"{name}{error.strerror or error}", 1
    if isinstance(error, ImportError):
        return f"cannot import {error.name}: {error}", 1
    raise error


def _signal_text(number: int) -> str:
    import signal  # noqa: PLC0415 - see run_guarded

    return _SIGNALS[signal.Signals(number).name]


def _text(name: str | bytes | int) -> str:
    import os  # noqa: PLC0415 - see run_guarded

    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _discard_output() -> None:
    """Have what is still buffered go nowhere, or else the interpreter complains of it at exit."""
    import os  # noqa: PLC0415 - see run_guarded

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(line: str) -> None:
    from pysquash.errors import printable  # noqa: PLC0415 - see run_guarded

    _write_error(f"{printable(line.encode('utf-8', 'surrogateescape'))}\n".encode(errors="backslashreplace"))


def _write_error(line: bytes) -> None:
    import contextlib  # noqa: PLC0415 - see run_guarded

    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
        sys.stderr.flush()
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()


# --- standard streams -----------------------------------------------------------------------------------------------


def _open_closed_streams() -> None:
    """Give each standard stream that is closed a descriptor that fails as a closed one does.

    Or else the next file that is opened gets its number: an image would be where the C library or a child process
    writes its messages.
    """
    import os  # noqa: PLC0415 - see run_guarded

    streams = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR))
    for name, mode, flags in streams:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _name_output() -> None:
    """Have errors of standard output carry its name: all other files that a program writes to have theirs."""
    import io  # noqa: PLC0415 - see run_guarded

    class NamedOutput(io.FileIO):
        def write(self, data: Any, /) -> int:
            try:
                return super().write(data)
            except OSError as error:
                raise OSError(error.errno, error.strerror, _OUTPUT_NAME) from None

    old = sys.stdout
    buffer = getattr(old, "buffer", None)
    if not isinstance(old, io.TextIOWrapper) or not isinstance(getattr(buffer, "raw", buffer), io.FileIO):
        return  # the caller's own, or a console of Windows
    raw: Any = NamedOutput(old.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if isinstance(buffer, io.FileIO) else io.BufferedWriter(raw),
        old.encoding,
        old.errors,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


# --- signals --------------------------------------------------------------------------------------------------------


def _handle_signals() -> None:
    """Have the signals raise, except those that the parent process ignores."""
    import contextlib  # noqa: PLC0415 - see run_guarded
    import signal  # noqa: PLC0415 - see run_guarded

    for name in _SIGNALS:
        with contextlib.suppress(ValueError, AttributeError):  # not the main thread, or not a signal of this system
            number = getattr(signal, name)
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, _raise_signalled)
    sys.unraisablehook = _deliver_again


def _restore_signals() -> None:
    """Have the signals that raised end the process."""
    import contextlib  # noqa: PLC0415 - see run_guarded
    import signal  # noqa: PLC0415 - see run_guarded

    for name in _SIGNALS:
        with contextlib.suppress(ValueError, AttributeError):
            number = getattr(signal, name)
            if signal.getsignal(number) is _raise_signalled:
                signal.signal(number, signal.SIG_DFL)


def _raise_signalled(number: int, _frame: FrameType | None) -> NoReturn:
    raise Signalled(number)


def _deliver_again(lost: Any) -> None:
    """Raise what a signal raised once more, where it was raised in a finalizer, which loses it."""
    if not isinstance(lost.exc_value, Signalled):
        sys.__unraisablehook__(lost)
        return
    import signal  # noqa: PLC0415 - see run_guarded

    # A moment later, when the finalizer and this hook are done. This is the main thread: no other runs handlers.
    number = lost.exc_value.number
    if hasattr(signal, "setitimer"):  # rather than a thread, which may not start
        signal.signal(signal.SIGALRM, lambda *_: _raise_signalled(number, None))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, _DELIVERY_SECONDS)
        return
    import threading  # noqa: PLC0415 - see run_guarded

    timer = threading.Timer(_DELIVERY_SECONDS, signal.raise_signal, [number])
    timer.daemon = True
    timer.start()
