"""Option table: every option of mksquashfs and sqfstar 4.5 to 4.7, and what becomes of it here.

Out: `OPTIONS` and `SECTIONS`. The parser (command_line), the help texts (help_pages) and docs/compat.md are made of
them, so that none of the three can have an option that the others do not.
Not here: what a value may be (values), what an option does (plan).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["OPTIONS", "SECTIONS", "Effect", "Kind", "Option", "Tool", "options_of"]

Tool = Literal["mksquashfs", "sqfstar"]

Kind = Literal[
    "flag",
    "text",
    "number",
    "count",
    "regex",
    "percent",
    "size",
    "block_size",
    "time",
    "mode",
    "user",
    "group",
    "compressor",
    "rest",
]
"""What an option takes: nothing, one value of a kind, or all that is left of the command line."""

Effect = Literal["done", "no effect", "refused"]
"""Whether it does what it does there; is accepted, because what it steers does not exist here; or is an error."""


class Option(NamedTuple):
    """One option.

    Attributes:
        names: With their dash, the one that all others stand for first.
        section: A key of `SECTIONS`.
        help: What it does.
        kind: What it takes.
        value: What messages and help call its value; "" for none.
        tools: Which of the two programs have it: "m", "s" or "ms".
        since: The first version that has it.
        effect: What becomes of it here.
        note: Why that is, where it is not "done", or what is different.
        undoes: Options that no longer count once this one is given.
        repeats: Whether it may be given more than once, and all count.
    """

    names: tuple[str, ...]
    section: str
    help: str
    kind: Kind = "flag"
    value: str = ""
    tools: str = "ms"
    since: str = "4.5"
    effect: Effect = "done"
    note: str = ""
    undoes: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def name(self) -> str:
        """The name that all others stand for."""
        return self.names[0]


SECTIONS = {
    "compression": "Compression",
    "build": "What goes into the image",
    "time": "Times",
    "perms": "Owners and permissions",
    "pseudo": "Pseudo files",
    "filter": "What is left out, and the order",
    "xattrs": "Extended attributes",
    "runtime": "While it runs",
    "append": "Appending to an image",
    "actions": "Actions",
    "tar": "Tar archives",
    "expert": "Images that may not mount",
    "help": "Help",
}

_NO_QUEUES = "memory is bounded by the number of entries, and there are no queues to size"
_NO_THROTTLE = "input is not slowed down; nice and ionice do that"
_ATOMIC = "an append writes a new image beside the old one and renames it, so there is nothing to recover"
_NO_STREAM = "an image is written to a regular file, with its superblock first"
_NO_FOLLOWING = "symlinks are kept; -p with type h adds the file that one leads to"
_ACTION = "ACTION@EXPRESSION"
_NO_ACTIONS = "actions are not done"

OPTIONS: tuple[Option, ...] = (
    # --- compression ---
    Option(
        ("-b",), "compression", "bytes in a data block, 4K to 1M, a power of two; 128K by default", "block_size", "SIZE"
    ),
    Option(
        ("-comp",), "compression", "compressor: gzip (the default), lzo, lz4, xz, zstd or lzma", "compressor", "NAME"
    ),
    Option(
        ("-noI", "-noInodeCompression"), "compression", "store inodes and directories as they are (and ids with them)"
    ),
    Option(("-noId", "-noIdTableCompression"), "compression", "store the table of owners as it is"),
    Option(("-noD", "-noDataCompression"), "compression", "store data blocks as they are"),
    Option(("-noF", "-noFragmentCompression"), "compression", "store fragment blocks as they are"),
    Option(("-noX", "-noXattrCompression"), "compression", "store extended attributes as they are"),
    Option(("-no-compression",), "compression", "store everything as it is", since="4.6"),
    # --- build ---
    Option(("-tar",), "build", "the source is -, and a tar comes from standard input", tools="m"),
    Option(
        ("-zip",),
        "build",
        "the sources are zip archives",
        tools="m",
        since="4.7.6",
        effect="refused",
        note="zip archives are not read",
    ),
    *(
        Option((name,), "build", text, "text" if value else "flag", value, "m", "4.7.6", "refused", _NO_FOLLOWING)
        for name, value, text in (
            ("-dereference", "", "follow symlinks, and remove those that lead nowhere"),
            ("-deref", "RESPONSE", "follow symlinks; keep or delete those that lead nowhere"),
            ("-deref-path", "PATH", "follow one symlink"),
        )
    ),
    *(
        Option((name,), "build", text, "text" if value else "flag", value, "ms", "4.7.3", "refused", _NO_STREAM)
        for name, value, text in (
            ("-stream", "", "write the image to standard output, with its superblock at the end"),
            ("-fix", "FILE", "repair an image made with -stream"),
        )
    ),
    Option(("-no-strip", "-tarstyle"), "build", "keep the leading directories of sources, as tar does", tools="m"),
    Option(("-cpiostyle",), "build", "the source is -, and names come from standard input, one a line", tools="m"),
    Option(("-cpiostyle0",), "build", "the same with a NUL behind each name", tools="m"),
    Option(
        ("-reproducible",),
        "build",
        "the same input gives the same bytes, which is always so",
        undoes=("-not-reproducible",),
        effect="no effect",
        note="images are always reproducible",
    ),
    Option(("-not-reproducible",), "build", "it need not", effect="no effect", note="images are always reproducible"),
    Option(("-exports",), "build", "write the table that NFS needs; the default unless -tar", undoes=("-no-exports",)),
    Option(("-no-exports",), "build", "leave it out; the default with -tar", tools="m", undoes=("-exports",)),
    Option(("-no-sparse",), "build", "store blocks of zeros instead of making holes of them"),
    Option(
        ("-tailends", "-always-use-fragments"),
        "build",
        "put the ends of long files into fragments too; the default with -tar",
        tools="m",
        undoes=("-no-tailends",),
    ),
    Option(
        ("-no-tailends",),
        "build",
        "put only small files into fragments; the default unless -tar",
        undoes=("-tailends",),
    ),
    Option(("-no-fragments",), "build", "give every file its own blocks"),
    Option(("-no-duplicates",), "build", "store equal content again and again"),
    Option(("-no-hardlinks",), "build", "make each name of an inode a file of its own"),
    Option(
        ("-keep-as-directory",),
        "build",
        "put a single source directory itself into the root, not what is in it",
        tools="m",
    ),
    # --- time ---
    Option(
        ("-mkfs-time", "-fstime"),
        "time",
        "the image's own time: seconds since 1970, a date, or `inode` for the newest file's",
        "time",
        "TIME",
    ),
    Option(("-all-time", "-inode-time"), "time", "the time of every file and directory", "time", "TIME"),
    Option(("-root-time",), "time", "the time of the root directory", "time", "TIME"),
    Option(("-repro",), "time", "as -mkfs-time inode", since="4.7"),
    Option(("-repro-time",), "time", "as -mkfs-time TIME -all-time TIME", "time", "TIME", since="4.7"),
    # --- perms ---
    Option(("-all-root", "-root-owned"), "perms", "everything belongs to 0:0", undoes=("-force-uid", "-force-gid")),
    Option(("-root-mode",), "perms", "the root directory's permissions, octal or symbolic", "mode", "MODE"),
    Option(("-root-uid",), "perms", "the root directory's owner", "user", "USER"),
    Option(("-root-gid",), "perms", "the root directory's group", "group", "GROUP"),
    Option(("-force-uid",), "perms", "everything's owner, a number or a name known here", "user", "USER"),
    Option(("-force-gid",), "perms", "everything's group, a number or a name known here", "group", "GROUP"),
    Option(
        ("-force-file-mode",),
        "perms",
        "permissions of all but directories, octal or symbolic",
        "mode",
        "MODE",
        since="4.7",
    ),
    Option(("-force-dir-mode",), "perms", "permissions of directories, octal or symbolic", "mode", "MODE", since="4.7"),
    Option(("-uid-gid-offset",), "perms", "add so much to every owner and group", "number", "NUMBER", since="4.6"),
    Option(("-numeric-owner",), "perms", "take owners of a tar by number, and look no names up", since="4.7"),
    # --- pseudo ---
    Option(("-p",), "pseudo", "one definition of a file that is nowhere else", "text", "DEFINITION", repeats=True),
    Option(("-pf",), "pseudo", "definitions in a file, one a line; - for standard input", "text", "FILE", repeats=True),
    Option(
        ("-pd", "-pseudo-dir"),
        "pseudo",
        'what directories are that definitions need and nobody defines: "d MODE UID GID"',
        "text",
        "DEFINITION",
        since="4.6",
    ),
    Option(
        ("-pseudo-override",),
        "pseudo",
        "owners in definitions stand against -all-root, -force-uid and -force-gid",
        since="4.6",
    ),
    # --- filter ---
    Option(
        ("-sort",),
        "filter",
        "a file with names and priorities; content of higher ones comes first",
        "text",
        "FILE",
        tools="m",
    ),
    Option(
        ("-e",), "filter", "leave out what is behind it on the command line, to its end", "rest", "PATH...", tools="m"
    ),
    Option(("-ef",), "filter", "leave out what is in a file, one a line", "text", "FILE", repeats=True),
    Option(
        ("-wildcards",),
        "filter",
        'what is left out are shell patterns; with "... " in front for any depth',
        tools="m",
        undoes=("-regex",),
    ),
    Option(
        ("-regex",),
        "filter",
        "what is left out are POSIX regular expressions, one for each component",
        undoes=("-wildcards",),
    ),
    Option(("-max-depth",), "filter", "go so many directories down", "number", "NUMBER", tools="m", since="4.6"),
    Option(
        ("-one-file-system",),
        "filter",
        "leave out what is on other file systems; where they are mounted is an empty directory",
        tools="m",
    ),
    Option(("-one-file-system-x",), "filter", "the same without these directories", tools="m", since="4.6"),
    # --- xattrs ---
    Option(("-xattrs",), "xattrs", "keep extended attributes; the default", undoes=("-no-xattrs",)),
    Option(("-no-xattrs",), "xattrs", "leave them out", undoes=("-xattrs",)),
    Option(
        ("-xattrs-exclude",),
        "xattrs",
        "leave out those whose name a POSIX regular expression matches",
        "regex",
        "REGEX",
        since="4.6",
        undoes=("-no-xattrs",),
    ),
    Option(
        ("-xattrs-include",),
        "xattrs",
        "keep those only whose name one matches",
        "regex",
        "REGEX",
        since="4.6",
        undoes=("-no-xattrs",),
    ),
    Option(
        ("-xattrs-add",),
        "xattrs",
        "give everything an attribute (user. ones: files and directories)",
        "text",
        "NAME=VALUE",
        since="4.6",
        undoes=("-no-xattrs",),
        repeats=True,
    ),
    # --- runtime ---
    Option(("-version", "--version"), "runtime", "say which version this is"),
    Option(
        ("-exit-on-error",),
        "runtime",
        "make every error the end, which is always so",
        effect="no effect",
        note="a source that cannot be read is always an error",
    ),
    Option(("-quiet",), "runtime", "say nothing but errors and warnings"),
    Option(("-info",), "runtime", "print what is in the image"),
    Option(("-info-file",), "runtime", "write that into a file", "text", "FILE", since="4.7"),
    Option(("-no-progress",), "runtime", "show no progress"),
    Option(("-progress",), "runtime", "show progress also with -info"),
    Option(("-percentage",), "runtime", "show progress as a number on each line", since="4.6"),
    *(
        Option((name,), "runtime", text, "percent", "PERCENT", effect="no effect", note=_NO_THROTTLE)
        for name, text in (
            ("-throttle", "read slower by so many percent"),
            ("-limit", "read at so many percent of the speed"),
        )
    ),
    Option(("-processors",), "runtime", "threads that compress; one a processor by default", "count", "NUMBER"),
    Option(("-mem",), "runtime", "memory for queues", "size", "SIZE", effect="no effect", note=_NO_QUEUES),
    Option(
        ("-mem-percent",),
        "runtime",
        "the same as a part of all",
        "percent",
        "PERCENT",
        since="4.6",
        effect="no effect",
        note=_NO_QUEUES,
    ),
    Option(
        ("-overcommit",),
        "runtime",
        "run more threads than processors by so many percent",
        "percent",
        "PERCENT",
        since="4.7",
        effect="no effect",
        note="-processors sets the number of threads",
    ),
    *(
        Option((name,), "runtime", "size of a queue in MiB", "number", "SIZE", "m", "4.5", "no effect", _NO_QUEUES)
        for name in ("-read-queue", "-write-queue", "-fragment-queue")
    ),
    Option(("-mem-default",), "runtime", "print how much that is by default, in MiB", since="4.6"),
    Option(
        ("-single-reader", "-single-reader-thread"),
        "runtime",
        "read with one thread",
        tools="m",
        since="4.7",
        effect="no effect",
        note="one thread reads, always",
    ),
    *(
        Option((name,), "runtime", text, "number", "NUMBER", "m", "4.7", "no effect", "one thread reads, always")
        for name, text in (
            ("-small-readers", "threads that read small files"),
            ("-block-readers", "threads that read long files"),
        )
    ),
    Option(("-force",), "runtime", "write over a file that is there, or to a block device", tools="s"),
    # --- append ---
    Option(("-noappend",), "append", "make a new image, also where there is one", tools="m"),
    Option(
        ("-root-becomes",), "append", "what was the root becomes a directory of that name", "text", "NAME", tools="m"
    ),
    Option(("-no-recovery",), "append", "write no recovery file", tools="m", effect="no effect", note=_ATOMIC),
    Option(
        ("-recovery-path",),
        "append",
        "where to write it",
        "text",
        "DIRECTORY",
        tools="m",
        effect="no effect",
        note=_ATOMIC,
    ),
    Option(
        ("-recover",),
        "append",
        "recover an image with such a file",
        "text",
        "FILE",
        tools="m",
        effect="refused",
        note=_ATOMIC,
    ),
    # --- actions ---
    *(
        Option(names, "actions", text, "text", value, tools="m", effect="refused", note=_NO_ACTIONS)
        for names, value, text in (
            (("-action", "-a"), _ACTION, "do something with every file for which an expression is true"),
            (("-log-action", "-va"), _ACTION, "the same, and print it all"),
            (("-true-action", "-ta"), _ACTION, "the same, and print what is true"),
            (("-false-action", "-fa"), _ACTION, "the same, and print what is false"),
            (("-action-file", "-af"), "FILE", "actions from a file"),
            (("-log-action-file", "-vaf"), "FILE", "the same, and print it all"),
            (("-true-action-file", "-taf"), "FILE", "the same, and print what is true"),
            (("-false-action-file", "-faf"), "FILE", "the same, and print what is false"),
            (("-log",), "FILE", "print what actions do into a file"),
        )
    ),
    # --- tar ---
    Option(
        ("-default-mode",),
        "tar",
        "permissions of directories that the tar does not describe, and of the root",
        "mode",
        "MODE",
        since="4.6",
    ),
    Option(("-default-uid",), "tar", "their owner", "user", "USER", since="4.6"),
    Option(("-default-gid",), "tar", "their group", "group", "GROUP", since="4.6"),
    Option(("-ignore-zeros",), "tar", "read on behind the end of an archive, for concatenated ones", since="4.6"),
    # --- expert ---
    Option(("-nopad",), "expert", "do not fill the image up to a multiple of 4K"),
    Option(("-offset", "-o"), "expert", "leave so many bytes in front of the image", "size", "SIZE"),
    # --- help ---
    Option(("-help", "-h", "--help"), "help", "list the options"),
    Option(("-help-option", "-ho"), "help", "say what the options do whose name matches", "text", "REGEX", since="4.7"),
    Option(
        ("-help-section", "-hs"),
        "help",
        "list one section of the options, or `list` for the sections",
        "text",
        "NAME",
        since="4.7",
    ),
    Option(
        ("-help-comp",),
        "help",
        "list a compressor's options, or `all`, or `list` for the compressors",
        "text",
        "NAME",
        since="4.7",
    ),
    Option(
        ("-no-pager",),
        "help",
        "print help without a pager",
        since="4.7",
        effect="no effect",
        note="help is never sent to a pager",
    ),
    Option(
        ("-cols",),
        "help",
        "columns of help",
        "number",
        "NUMBER",
        since="4.7",
        effect="no effect",
        note="help has a fixed width",
    ),
    Option(("-help-all", "-ha"), "help", "list everything", since="4.7"),
    Option(("-Xhelp",), "help", "list the options of the compressor that -comp names"),
)


def options_of(tool: Tool) -> tuple[Option, ...]:
    """Give the options that one of the programs has."""
    return tuple(option for option in OPTIONS if tool[0] in option.tools)
