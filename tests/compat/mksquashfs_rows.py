"""What is compared with mksquashfs and sqfstar: inputs and options, and whether the outcome is theirs.

docs/compat.md is made of `ROWS` and of the option table; test_mksquashfs_differential.py holds each row to be true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ROWS", "Row", "Verdict"]

Verdict = Literal["same", "better", "not done"]


@dataclass(frozen=True)
class Row:
    """One command line.

    Attributes:
        what: What it is about.
        options: What stands behind the image; for sqfstar in front of it, and behind `--` what is left out.
        given: The sources, as the inputs of test_mksquashfs_differential.py call them: "tree", or "tar:odd".
        tool: Which program.
        verdict: Whether the outcome is the same, ours is better, or it is not done here.
        why: Why it is not the same.
        code: Our exit code.
        their_code: Theirs; None for whatever it is, where it crashes or hangs.
        has: Paths that ours has, of a row whose outcome is not the same.
        has_not: Paths that ours has not.
        first: Options with which both make the image beforehand, of another tree; "junk" and "empty" for other files.
        epoch: SOURCE_DATE_EPOCH.
        since: The version of theirs that has this; their 4.5 is not asked where it is later.
    """

    what: str
    options: str = ""
    given: str = "tree"
    tool: Literal["mksquashfs", "sqfstar"] = "mksquashfs"
    verdict: Verdict = "same"
    why: str = ""
    code: int = 0
    their_code: int | None = 0
    has: tuple[str, ...] = ()
    has_not: tuple[str, ...] = ()
    first: str | None = None
    epoch: str | None = None
    since: str = "4.5"

    def __str__(self) -> str:
        return f"{self.tool} {self.given} {self.options}".strip() + (f" EPOCH={self.epoch}" if self.epoch else "")


def _refused(what: str, options: str, given: str = "tree", **more: object) -> Row:
    return Row(what, options, given, code=1, their_code=1, **more)  # type: ignore[arg-type] # Row says which


_COMPRESSION = [
    *(Row("a compressor", f"-comp {name}") for name in ("gzip", "xz", "zstd", "lz4", "lzo", "lzma")),
    *(
        Row("a compressor's options", options)
        for options in (
            "-Xcompression-level 1",
            "-Xwindow-size 9",
            "-Xstrategy default,huffman_only,fixed",
            "-comp zstd -Xcompression-level 3",
            "-Xcompression-level 3 -comp zstd",
            "-comp xz -Xbcj x86,arm",
            "-comp xz -b 64K -Xdict-size 75%",
            "-comp xz -b 64K -Xdict-size 37.5%",
            "-comp xz -Xdict-size 32K",
            "-comp lz4 -Xhc",
            "-comp lzo -Xalgorithm lzo1x_1",
        )
    ),
    *(Row("a block size", f"-b {size}") for size in ("4096", "4K", "64k", "1M", "1m")),
    *(
        Row("parts stored as they are", options)
        for options in (
            "-noI",
            "-noId",
            "-noD",
            "-noF",
            "-noX",
            "-noI -noD -noF -noX",
            "-noInodeCompression -noDataCompression",
            "-noIdTableCompression -noFragmentCompression -noXattrCompression",
        )
    ),
    Row("everything stored as it is", "-no-compression", since="4.6"),
    Row(
        "lzo's other levels",
        "-comp lzo -Xcompression-level 4",
        verdict="not done",
        code=1,
        why="no package for Python has lzo1x_999 at another level than 8",
    ),
    _refused("a block size that is none", "-b 100"),
    _refused("a block size that is no power of two", "-b 12K"),
    _refused("a compressor that is none", "-comp brotli"),
    _refused("another compressor's option", "-comp xz -Xcompression-level 3"),
    _refused("a level that is none", "-comp zstd -Xcompression-level 99"),
    _refused("a dictionary larger than a block", "-comp xz -Xdict-size 2M"),
]

_BUILD = [
    *(
        Row("what goes into the image", options)
        for options in (
            "",
            "-no-exports",
            "-exports",
            "-no-exports -exports",
            "-no-fragments",
            "-tailends",
            "-always-use-fragments",
            "-no-tailends",
            "-no-fragments -tailends",
            "-no-sparse",
            "-no-duplicates",
            "-no-hardlinks",
            "-no-xattrs",
            "-xattrs",
            "-no-xattrs -xattrs",
            "-nopad",
            "-offset 4096",
            "-o 64K -nopad",
            "-reproducible",
            "-not-reproducible",
            "-keep-as-directory",
            "-no-strip",
            "-tarstyle",
            "-noD -noF -noI",
            "-noD -noF -noI -tailends",
            "-noD -noF -noI -no-fragments -no-duplicates",
            "-processors 1 -mem 100M -throttle 1 -no-progress -noappend",
            "-no-recovery -recovery-path /tmp -limit 99 -exit-on-error",
        )
    ),
    Row("two directories and a file", given="tree etc file"),
    Row("files that begin with the same blocks", "-tailends", given="starts"),
    Row("a name twice", given="etc file etc file"),
    Row("a device, as dracut tries compressors", "-comp zstd", given="/dev/null"),
    Row("as dracut calls it", "-no-xattrs -no-exports -noappend -no-recovery -always-use-fragments -comp xz"),
    Row(
        "as Charliecloud's ch-convert calls it",
        "-b 65536 -noappend -all-root -pf empty -e tree/.git -e tree/.gitignore -e tree/ch/git.pickle",
    ),
    Row("as mkosi calls it, onto an empty file of its own", "-noappend -comp zstd", first="empty"),
    Row("one file", given="file"),
    Row("one directory with a slash behind it", given="etc/"),
    Row("one symlink to a directory", given="link"),
    Row("one symlink to a directory, with a slash", given="link/"),
    Row("sources below others", "-no-strip", given="etc file tree/sub"),
    _refused("no such source", given="missing", options=""),
    _refused("an unknown option", "-nonsense"),
    _refused("something where an option is to be", "junk"),
    _refused("an option without its value", "-b"),
    _refused("-e without names", "-e"),
    _refused("an image that is no image, to append to", "", first="junk"),
    Row(
        "names on standard input",
        "-cpiostyle",
        given="names",
        verdict="better",
        why="4.5.1 does not come to an end",
        their_code=None,
        has=("tree/short", "file"),
        has_not=("tree/sub/deep",),
    ),
    Row(
        "names on standard input with NULs",
        "-cpiostyle0",
        given="names0",
        verdict="better",
        why="4.5.1 does not come to an end",
        their_code=None,
        has=("tree/short", "file"),
        has_not=("tree/sub/deep",),
    ),
]

_ATTRIBUTES = [
    *(
        Row("owners and permissions", options)
        for options in (
            "-all-root",
            "-root-owned",
            "-force-uid 7",
            "-force-gid 8",
            "-force-uid daemon -force-gid daemon",
            "-all-root -force-uid 7",
            "-force-uid 7 -all-root",
            "-root-mode 0700",
            "-root-uid 3 -root-gid 4",
            "-root-uid 3 -force-uid 7",
        )
    ),
    *(
        Row("times", options)
        for options in (
            "-all-time 1000",
            "-root-time 2000",
            "-all-time 1000 -root-time 2000",
            "-mkfs-time 3000",
            "-fstime 3000 -all-time 1000",
        )
    ),
    Row("SOURCE_DATE_EPOCH", epoch="1000000000"),
    Row("SOURCE_DATE_EPOCH, empty", epoch="", verdict="better", why="it says nothing, and is not 1970"),
    Row("SOURCE_DATE_EPOCH and the root's time", "-root-time 500", epoch="1000"),
    _refused("SOURCE_DATE_EPOCH and another time", "-mkfs-time 5", epoch="1000"),
    _refused("SOURCE_DATE_EPOCH and another time", "-all-time 5", epoch="1000"),
    _refused("SOURCE_DATE_EPOCH that is no number", "", epoch="yesterday"),
    _refused("a mode that is none", "-root-mode 9"),
    _refused("a user that is none", "-force-uid nobody-of-that-name"),
    _refused("a time that is none", "-all-time never"),
]

_LEFT_OUT = [
    *(
        Row("what is left out", options)
        for options in (
            "-e short",
            "-e sub/deep missing",
            "-e ./tree/sub",
            "-e linked-1",
            "-ef excludes",
            "-wildcards -e 'sub/*'",
            "-wildcards -e '*'",
            "-wildcards -e '.*'",
            "-wildcards -e '... *.gz'",
            "-wildcards -e '[!e]*'",
            "-wildcards -e '!(sub|short)'",
            "-wildcards -e 's?(x)ub' '... @(a|b).gz'",
            "-wildcards -e '... +([a-z])'",
            "-wildcards -ef patterns",
            "-wildcards -e '...  short' ' short' 'sub//a.gz'",
            "-wildcards -e '' ... '... ' ...short '\\\\short'",
            "-e empty-directory/ short",
            "-regex -e b",
            "-regex -e '^s.*t$' '... ^d'",
            "-regex -e '^sub$/^d'",
            "-regex -e '[[:upper:]]' '... [^[:alnum:]]gz$'",
            "-one-file-system",
        )
    ),
    Row("what is left out of several sources", "-wildcards -e 'etc/*' '... short'", given="tree etc"),
    Row(
        "a pattern of two names anywhere",
        "-wildcards -e '... sub/deep'",
        verdict="better",
        why="4.5.1 leaves out all of `sub`",
        has=("sub/a.gz",),
        has_not=("sub/deep",),
    ),
    _refused("a pattern from the root of the machine", "-wildcards -e /etc"),
    _refused("a pattern that is none", "-regex -e '('"),
]

_PSEUDO = [
    *(
        Row("pseudo files", f"-all-time 9 {options}")
        for options in (
            "-p 'new f 640 1 daemon echo \"hi there\"'",
            "-p 'short f 640 1 1 echo hi'",
            "-e short -p 'short f 640 1 1 echo hi'",
            "-p 'x d 700 3 3' -p 'x/y f 640 1 1 echo'",
            "-p 'x/y f 640 1 1 echo' -p 'x d 700 3 3'",
            "-p 'sub d 700 3 3' -p 'sub/n d 711 1 1'",
            "-p 'short m 600 9 9' -p 'gone m 600 1 1'",
            "-p 'sub m 700 9 9' -p 'symlink m 600 9 9'",
            "-p 'b b 600 0 0 8 1' -p 'c c 666 0 0 1 3' -p 's s 0 1 1 /to where' -p 'i i 755 0 0 s' -p 'f i 755 0 0 f'",
            "-p 'k l tree/short' -p 'k2 l /etc/passwd'",
            "-p 'new f 600 0 0 echo' -p 'k3 L new'",
            "-p '/ m 700 5 5'",
            "-p '/ d 701 5 5'",
            "-p '\"sp ace\" d 700 0 0' -p 'sp\\ b d 700 0 0'",
            "-all-root -p 'short m 600 9 9'",
            "-p 'quoted s 777 0 0 \"a b\"' -p '/sub//d d 700 0 0'",
            "-p 'two f 644 root root echo a; printf \"b\\n\"'",
            "-pf pseudo",
        )
    ),
    Row("pseudo files with times", "-p 'D1 D \"1 jan 1980 UTC\" 700 0 0' -p 'D2 D 77 0700 0 0' -p 'short M 5 600 1 1'"),
    Row("pseudo files only", "-p '/ d 755 1 2' -p 'a f 644 0 0 echo hi'", given="nothing"),
    Row("an image as pseudo files", "-pf image.pseudo", given="nothing"),
    *(
        _refused("a pseudo file without a parent directory", options, since="4.7")
        for options in (
            "-p 'x/y f 640 1 1 echo'",
            "-p 'short/y d 700 0 0'",
            "-p 'symlink/y d 700 0 0'",
            "-p 'gone/y m 600 1 1'",
            "-p 'gone x user.a=1'",
        )
    ),
    _refused("pseudo files without a root", "-p 'a f 644 0 0 echo hi'", given="nothing"),
    _refused("no source at all", "", given="nothing"),
    _refused("a type that is none", "-p 'a z 1 2 3'"),
    _refused("a definition that is too short", "-p 'a d 700'"),
    Row(
        "a command that fails",
        "-p 'bad f 644 0 0 exit 3'",
        verdict="better",
        why="an empty file in its place would go unseen",
        code=1,
    ),
    Row("an attribute", "-p 'short x user.x=0x6869'", since="4.6", has=("short",)),
    Row("directories that nobody defines", "-pd 'd 711 1 2' -p 'x/y/z f 644 0 0 echo'", since="4.6", has=("x/y/z",)),
    Row("h follows symlinks", "-p 'h h tree/symlink'", since="4.7", has=("h",)),
]

_APPEND = [
    Row("appending a directory", "-all-time 9", first=""),
    Row("appending with the old root in a directory", "-root-becomes old -force-uid 9", first=""),
    Row("appending a directory itself", "-keep-as-directory", first=""),
    Row("appending to an image of another compressor", "-comp gzip -b 4096", first="-comp xz -b 64K"),
    Row("appending to an image with other flags", "-all-root", first="-noI -noD -no-exports -no-fragments"),
    Row(
        "appending with pseudo files",
        "-p 'new d 711 1 1'",
        given="etc",
        first="",
    ),
    *(
        _refused("pseudo files with names of the old image", options, given="etc", first="", since="4.7")
        for options in ("-p 'sub/x d 700 0 0'", "-p 'old m 600 5 5'", "-p 'sub d 700 0 0'")
    ),
    Row("appending two directories below others", "-no-strip", given="tree/sub etc/conf.d", first=""),
    Row("appending files", "-all-root", given="file etc", first="-all-time 7"),
    Row("appending behind other bytes", "-offset 8192", first="-offset 8192"),
    Row("-noappend", "-noappend", first=""),
    _refused("appending a tar", "-tar", given="tar:plain", first=""),
    Row(
        "-recover",
        "-recover recovery",
        verdict="not done",
        why="an append writes a new image beside the old one and renames it: there is nothing to recover",
        code=1,
        their_code=1,
    ),
]

_SORT = [
    Row("sorting", "-sort sorting", has=()),
    Row("sorting names that are not there", "-sort sorting-missing"),
    _refused("a priority that is none", "-sort sorting-bad"),
]

_ACTIONS = [
    Row(
        "an action",
        "-action 'uncompressed@name(*.gz)'",
        verdict="not done",
        why="actions are a language of their own, and rare",
        code=1,
    ),
]

_TAR = [
    *(
        Row("a tar", f"-tar {options}".strip(), given="tar:plain")
        for options in (
            "",
            "-comp xz -b 64K",
            "-comp zstd -Xcompression-level 3",
            "-exports",
            "-no-exports",
            "-no-tailends",
            "-no-fragments",
            "-no-xattrs",
            "-no-sparse",
            "-no-duplicates",
            "-no-hardlinks",
            "-all-root -root-mode 755",
            "-force-uid 5 -force-gid daemon",
            "-all-time 77",
            "-mkfs-time 5",
            "-wildcards -e '... *.gz' 'sub/*'",
            "-regex -e '^s'",
            "-noD -noF -noI",
        )
    ),
    *(
        _refused("excludes of a tar that are not patterns", f"-tar {options}", given="tar:plain", since="4.7")
        for options in ("-e short", "-ef excludes")
    ),
    Row(
        "the root of a tar",
        "-tar -root-uid 3 -root-gid 4 -root-time 5",
        given="tar:plain",
        verdict="better",
        why="4.5.1 forgets them where the input is a tar",
    ),
    Row("a tar and SOURCE_DATE_EPOCH", "-tar", given="tar:plain", epoch="1000000000"),
    Row("a GNU tar", "-tar", given="tar:gnu"),
    Row("owners by name", "-tar", given="tar:names"),
    Row("whiteouts are files", "-tar", given="tar:whiteouts"),
    Row("the first of a name stands", "-tar", given="tar:twice"),
    Row("a file, then a directory of its name", "-tar", given="tar:file-then-directory"),
    Row("an empty directory, then a file of its name", "-tar", given="tar:directory-then-file"),
    Row("a hard link to nothing", "-tar", given="tar:dangling"),
    Row("a hard link to a directory", "-tar", given="tar:link-to-directory"),
    Row("directories that nobody describes", "-tar", given="tar:implied"),
    Row("an entry for the root", "-tar", given="tar:root"),
    Row("an empty tar", "-tar", given="tar:empty"),
    Row(
        "no tar at all",
        "-tar",
        given="tar:nothing",
        verdict="better",
        why="it is refused, as in 4.5.1: the program that writes the tar has failed. 4.7 makes an empty image",
        code=1,
        their_code=None,
    ),
    _refused("depth of a tar", "-tar -max-depth 1", given="tar:plain", since="4.7"),
    Row("an absolute name", "-tar", given="tar:absolute"),
    Row("two tars in a row", "-tar", given="tar:two"),
    _refused("below a symlink", "-tar", given="tar:below-symlink"),
    _refused("below a file", "-tar", given="tar:below-file"),
    _refused("a full directory, then a file of its name", "-tar", given="tar:full-directory-then-file"),
    _refused("a name with ..", "-tar", given="tar:climbing"),
    _refused("a truncated tar", "-tar", given="tar:truncated"),
    _refused("not a tar", "-tar", given="tar:garbage"),
    Row(
        "a hard link to a later entry",
        "-tar",
        given="tar:link-to-later",
        verdict="better",
        why="4.5.1 crashes or drops it",
        their_code=None,
        has=("link", "later"),
    ),
    Row(
        "a name with . in it",
        "-tar",
        given="tar:dotted",
        verdict="better",
        why="it is a name like any other",
        their_code=1,
        has=("c/d",),
    ),
    Row(
        "a compressed tar",
        "-tar",
        given="tar:compressed",
        verdict="better",
        why="it is decompressed",
        their_code=1,
        has=("short",),
    ),
    Row("sqfstar", given="tar:plain", tool="sqfstar"),
    Row(
        "sqfstar's options", "-comp xz -b 64K -all-root -no-tailends -root-mode 711", given="tar:plain", tool="sqfstar"
    ),
    Row("sqfstar leaves out", "-- 'sub/*' '... *.gz'", given="tar:plain", tool="sqfstar"),
    Row("sqfstar leaves out by expression", "-regex -- '^s' '... [.]gz$'", given="tar:plain", tool="sqfstar"),
    Row("sqfstar writes over", "-force", given="tar:plain", tool="sqfstar", first=""),
    _refused("sqfstar does not write over", "", given="tar:plain", tool="sqfstar", first=""),
    _refused("sqfstar has no -wildcards", "-wildcards", given="tar:plain", tool="sqfstar"),
    Row(
        "default permissions",
        "-tar -default-mode 700 -default-uid 5 -default-gid 6",
        given="tar:implied",
        since="4.6",
        has=("d/e/f",),
    ),
    Row("concatenated tars", "-tar -ignore-zeros", given="tar:two", since="4.6", has=("one", "two")),
    Row("owners by number", "-tar -numeric-owner", given="tar:names", since="4.7", has=("named",)),
]

_LATER = [
    Row("an offset of owners", "-uid-gid-offset 1000", since="4.6", has=("short",)),
    Row("symbolic permissions", "-root-mode u=rwx,go= -force-file-mode go-rwx -force-dir-mode u+s", since="4.7"),
    Row("attributes by name", "-xattrs-include '^user[.]'", since="4.6"),
    Row("attributes by name", "-xattrs-exclude '^user[.]'", since="4.6"),
    Row("an attribute for everything", "-xattrs-add user.added=0thello\\\\012", since="4.6"),
    Row(
        "an attribute that a file has already",
        "-xattrs-add user.comment=1",
        since="4.6",
        verdict="better",
        why="its value is replaced; mksquashfs ends with an error",
        their_code=1,
    ),
    Row("so many directories down", "-max-depth 1", since="4.6", has=("short", "sub"), has_not=("sub/deep",)),
    Row("reproducible", "-repro", since="4.7"),
    Row("reproducible and SOURCE_DATE_EPOCH", "-repro -root-time inode", epoch="1000000000", since="4.7"),
    *(
        _refused("options that exclude each other", options, since="4.7")
        for options in (
            "-percentage",
            "-progress",
            "-repro -mkfs-time 5",
            "-repro -repro-time 5",
            "-repro-time 5 -all-time 6",
            "-xattrs-add user.a=1 -no-xattrs",
        )
    ),
    Row("attributes after -no-xattrs", "-no-xattrs -xattrs-include '^user[.]'", since="4.7"),
    Row("a root with -force-dir-mode", "-root-mode 700 -force-dir-mode 711", since="4.7"),
    Row("reproducible, with a time", "-repro-time 1000", since="4.7"),
    Row("times as dates", "-all-time '2001-02-03 UTC' -mkfs-time inode", since="4.6"),
    Row("owners of pseudo files", "-all-root -pseudo-override -p 'n f 644 5 6 echo'", since="4.6", has=("n",)),
]

ROWS = [
    *_COMPRESSION,
    *_BUILD,
    *_ATTRIBUTES,
    *_LEFT_OUT,
    *_PSEUDO,
    *_APPEND,
    *_SORT,
    *_ACTIONS,
    *_TAR,
    *_LATER,
]
