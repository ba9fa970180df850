# Reads an OCI runtime configuration and prints what it says of the process, for a shell to evaluate:
#     uid='33'
#     gid='33'
#     directory='/srv/app'
#     path='/usr/bin:/bin'
#     with_environment() { "$bb" env -i 'PATH=/usr/bin:/bin' 'GREETING=Hello' "$@"; }
#     set -- '/srv/app/hello' 'world'
# Any JSON goes in; what is not JSON, or names no program, is an error.

{ text = text $0 "\n" }

END {
    value("")
    blanks()
    if (text != "") fail("something follows the value")
    if (!(".process.args[0]" in found)) fail("there are no process.args")
    setting("uid", ".process.user.uid", "0")
    setting("gid", ".process.user.gid", "0")
    setting("directory", ".process.cwd", "/")
    path = ""
    environment = ""
    for (row = 0; (name = ".process.env[" row "]") in found; row++) {
        if (index(found[name], "PATH=") == 1) path = substr(found[name], 6)
        environment = environment quoted(found[name]) " "
    }
    print "path=" quoted(path)
    print "with_environment() { \"$bb\" env -i " environment "\"$@\"; }"
    printf "set --"
    for (row = 0; (name = ".process.args[" row "]") in found; row++) printf " %s", quoted(found[name])
    print ""
}

function setting(name, path, otherwise) {
    print name "=" quoted(path in found ? found[path] : otherwise)
}

function quoted(string) {
    gsub(/'/, "'\\''", string)
    return "'" string "'"
}

function fail(why) {
    print "config.awk: " why > "/dev/stderr"
    exit 1
}

# Takes what matches off the front of the text; the pattern starts with ^.
function take(pattern) {
    if (!match(text, pattern)) return 0
    taken = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return 1
}

function blanks() {
    take("^[ \t\r\n]+")
}

# Takes a value, and keeps each string, number and word that it holds under its path, like .process.args[0].
function value(path,    row, name) {
    blanks()
    if (take("^[{]")) {
        blanks()
        if (take("^[}]")) return
        do {
            blanks()
            name = string()
            blanks()
            if (!take("^:")) fail("no colon behind a name")
            value(path "." name)
            blanks()
        } while (take("^,"))
        if (!take("^[}]")) fail("an object does not end")
    } else if (take("^[[]")) {
        blanks()
        if (take("^[]]")) return
        row = 0
        do {
            value(path "[" row++ "]")
            blanks()
        } while (take("^,"))
        if (!take("^[]]")) fail("a list does not end")
    } else if (substr(text, 1, 1) == "\"") {
        found[path] = string()
    } else if (take("^[-+.0-9a-zA-Z]+")) {
        found[path] = taken
    } else {
        fail("a value is missing")
    }
}

function string(    result) {
    if (!take("^\"")) fail("a string is missing")
    result = ""
    while (!take("^\"")) {
        if (take("^[^\"\\\\\n]+")) result = result taken
        else if (take("^\\\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]")) result = result unicode(taken)
        else if (take("^\\\\[\"\\\\/]")) result = result substr(taken, 2)
        else if (take("^\\\\[bfnrt]")) result = result control(substr(taken, 2))
        else fail("a string does not end")
    }
    return result
}

function control(letter) {
    if (letter == "b") return "\b"
    if (letter == "f") return "\f"
    if (letter == "n") return "\n"
    if (letter == "r") return "\r"
    return "\t"
}

function hexadecimal(digits,    row, number) {
    number = 0
    for (row = 1; row <= length(digits); row++)
        number = number * 16 + index("0123456789abcdef", tolower(substr(digits, row, 1))) - 1
    return number
}

# Gives the UTF-8 of \uXXXX; a second one that follows may be the other half of one character.
function unicode(escape,    code, low) {
    code = hexadecimal(substr(escape, 3))
    if (code == 0) fail("a string holds a NUL")
    if (code >= 55296 && code < 56320 && take("^\\\\u[dD][c-fC-F][0-9a-fA-F][0-9a-fA-F]")) {
        low = hexadecimal(substr(taken, 3))
        code = 65536 + (code - 55296) * 1024 + low - 56320
    }
    if (code < 128) return sprintf("%c", code)
    if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
    return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, 128 + int(code / 64) % 64, \
        128 + code % 64)
}
