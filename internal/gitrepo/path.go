package gitrepo

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"tutti/errs"
)

const (
	maxPath = 1024 // bytes
	maxName = 255  // bytes of one part
)

// checkPath returns an Invalid error unless p is a plain relative path that means the same file on
// every system a clone may be on, and no part of git's own administration on any.
func checkPath(p string) error {
	if why := badPath(p); why != "" {
		return errs.New(errs.Invalid, "the path %.200q %s", p, why).WithHint("use a relative path of plain names separated by /")
	}
	return nil
}

func badPath(p string) string {
	switch {
	case p == "":
		return "is empty"
	case len(p) > maxPath:
		return "is too long"
	case !utf8.ValidString(p):
		return "is not UTF-8"
	case strings.HasPrefix(p, "/"):
		return "is absolute"
	case strings.Contains(p, `\`):
		return "contains a backslash"
	}
	for _, c := range p {
		// Among the format characters are those that HFS+ leaves out when it compares names.
		if unicode.In(c, unicode.C, unicode.Zl, unicode.Zp) {
			return "contains an invisible character"
		}
	}
	for name := range strings.SplitSeq(p, "/") {
		switch {
		case name == "":
			return "has an empty part"
		case name == "." || name == "..":
			return "contains " + name
		case len(name) > maxName:
			return "has a name that is too long"
		case reserved(name):
			return "uses a name of git's own"
		}
	}
	return ""
}

// reserved reports whether name is, or on some file system opens, .git or .gitmodules. NTFS ignores
// case, trailing dots and spaces, takes what follows a colon for a stream, and has short names.
func reserved(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToLower(strings.TrimRight(name, " ."))
	if name == ".git" || name == ".gitmodules" {
		return true
	}
	short, number, ok := strings.Cut(name, "~")
	return ok && number != "" && strings.Trim(number, "0123456789") == "" && (short == "git" || short == "gitmod" || strings.HasPrefix(short, "gi7eba"))
}
