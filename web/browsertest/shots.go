package browsertest

// shot is a page to look at.
type shot struct {
	// name is that of the picture; path the address, in which {name} stands for what Samples has:
	// {succeeded}, {failed}, {waiting}, {running} are requests, {many} is a run.
	name, path string
	// see is a text that is there once the page is drawn.
	see string
	// who looks; "" is olga, an admin. "-" is nobody.
	who string
}

// shots are all pages. Add a line for each page you make.
var shots = []shot{
	{name: "login", path: "/login", see: "Log in", who: "-"},
	{name: "home", path: "/", see: "Needs you"},
	{name: "requests", path: "/requests", see: "web-dev-06"},
	{name: "requests-none", path: "/requests?state=cancelled", see: "No request matches"},
	{name: "not-found", path: "/nowhere", see: "Nothing is here"},
}
