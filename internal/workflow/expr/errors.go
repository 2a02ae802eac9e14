package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// SyntaxError says why a source is not an expression.
type SyntaxError struct {
	Offset  int // in bytes, from the start of the source
	Message string
	Hint    string // what to do about it; may be empty
}

// Error returns the message with its hint.
func (e *SyntaxError) Error() string { return withHint(e.Message, e.Hint) }

// EvalError says why an expression has no value.
type EvalError struct {
	Message string
	Hint    string // what to do about it; may be empty
}

// Error returns the message with its hint.
func (e *EvalError) Error() string { return withHint(e.Message, e.Hint) }

func (e *EvalError) hint(h string) *EvalError {
	e.Hint = h
	return e
}

func evalErrorf(format string, args ...any) *EvalError {
	return &EvalError{Message: fmt.Sprintf(format, args...)}
}

func withHint(message, hint string) string {
	if hint == "" {
		return message
	}
	return message + " (" + hint + ")"
}

// predicateObject finds the object that expr-lang reads as the braces of a predicate.
var predicateObject = regexp.MustCompile(`,\s*\{\s*("[^"]*"|'[^']*'|[A-Za-z_]\w*|\([^)]*\))\s*:`)

// syntaxError translates an error of the library's parser or type checker.
func syntaxError(src string, err error) *SyntaxError {
	out := &SyntaxError{Message: firstLine(err.Error())}
	if fe, ok := errors.AsType[*file.Error](err); ok {
		out.Offset = byteOffset(src, fe.From)
		out.Message = plain(fe.Message)
	}
	switch {
	case predicateObject.MatchString(src):
		out.Hint = `an object as the body of a predicate needs parentheses: map(xs, ({"n": .name}))`
	case strings.Contains(src, "${{"):
		out.Hint = "this is an expression already: leave ${{ and }} out"
	case strings.Contains(out.Message, `"="`):
		out.Hint = "compare with =="
	case strings.Contains(out.Message, `"&"`):
		out.Hint = "write && or and"
	default:
		out.Hint = misspelt(src)
	}
	return out
}

var called = regexp.MustCompile(`([A-Za-z_]\w*)\(`)

// misspelt returns a hint where src calls something that is no function: a misspelt loop is refused
// for the `.` or `#` in its body first.
func misspelt(src string) string {
	known := functionNames()
	for _, m := range called.FindAllStringSubmatch(src, 8) {
		if near := nearest(m[1]); !slices.Contains(known, m[1]) && !Reserved(m[1]) && near != "" {
			return "there is no function " + strconv.Quote(m[1]) + ", did you mean " + near + "?"
		}
	}
	return ""
}

// plain rewords what the library says in the words of its tokens.
func plain(msg string) string {
	msg = firstLine(msg)
	if strings.Contains(msg, "unexpected token EOF") || strings.Contains(msg, "unexpected end of expression") {
		return "the expression ends too early"
	}
	if m := tokenWord.FindStringSubmatch(msg); m != nil {
		return "did not expect " + m[1] + " here"
	}
	msg = strings.ReplaceAll(msg, "interface {}", "unknown")
	msg = strings.ReplaceAll(msg, "map[string]unknown", "object")
	msg = strings.ReplaceAll(msg, "[]unknown", "list")
	return strings.ReplaceAll(msg, "float64", "number")
}

var tokenWord = regexp.MustCompile(`^unexpected token \w+\((".*")\)$`)

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// byteOffset turns an offset in runes into one in bytes.
func byteOffset(src string, runes int) int {
	off := 0
	for ; runes > 0 && off < len(src); runes-- {
		_, n := utf8.DecodeRuneInString(src[off:])
		off += n
	}
	return off
}

// quote puts a source into a message, shortened.
func quote(src string) string {
	src = strings.Join(strings.Fields(src), " ")
	if len(src) > 60 {
		src = strings.ToValidUTF8(src[:57], "") + "…"
	}
	return "`" + src + "`"
}

// Describe names a value in a message without showing much of it.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if utf8.RuneCountInString(v) > 40 {
			return "a string"
		}
		b, _ := json.Marshal(v)
		return "the string " + string(b)
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	if f, ok := number(v); ok {
		return "the number " + formatNumber(f)
	}
	return "a value of no known kind"
}
