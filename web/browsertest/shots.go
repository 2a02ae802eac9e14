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
	{name: "home", path: "/", see: "Failed in 24 hours"},
	{name: "requests", path: "/requests", see: "web-dev-06"},
	{name: "requests-none", path: "/requests?state=cancelled", see: "No request matches"},
	{name: "catalogue", path: "/catalogue", see: "Web server"},
	{name: "catalogue-none", path: "/catalogue?find=castle", see: "Nothing matches"},
	{name: "order", path: "/catalogue/web-server/new", see: "Still to be settled"},
	{name: "approvals", path: "/approvals", see: "It costs 240 a month"},
	{name: "approvals-not-mine", path: "/approvals?mine=1", see: "None that you may decide", who: "anna"},
	{name: "runs", path: "/runs", see: "fleet.update"},
	{name: "history", path: "/runs?workflow=server.build&view=grid", see: "As a table"},
	{name: "history-table", path: "/runs?workflow=server.build&view=grid&as=table", see: "resolve"},
	{name: "rollouts", path: "/rollouts", see: "app-service"},
	{name: "rollout", path: "/rollouts/app-service", see: "rolls back at"},
	{name: "workflows", path: "/workflows", see: "network.allocate"},
	{name: "workflow", path: "/workflows/server.build", see: "Allocate the network"},
	{name: "workflow-problems", path: "/workflows/server.build?part=problems", see: "Nothing is wrong with it"},
	{name: "workflow-test", path: "/workflows/server.build?part=test", see: "It was not played yet"},
	{name: "workflow-form", path: "/workflows/server.build?part=form", see: "Server"},
	{name: "workflow-users", path: "/workflows/network.allocate?part=users", see: "Build a web server"},
	{name: "resources", path: "/resources", see: "web-dev-05"},
	{name: "resource", path: "/resources/web-server/web-dev-05", see: "Specification"},
	{name: "resource-git", path: "/resources/web-server/web-dev-05?tab=git", see: "Build web-dev-05"},
	{name: "events", path: "/events", see: "request.request.finished"},
	{name: "events-found", path: "/events?q=state:failed", see: "failed"},
	{name: "events-none", path: "/events?q=castle", see: "No event matches"},
	{name: "views", path: "/views", see: "vcenter-south"},
	{name: "view", path: "/views/vcenter-south", see: "permitted"},
	{name: "view-networks", path: "/views/vcenter-south?tab=networks", see: "VM Network"},
	{name: "services", path: "/services", see: "workflow"},
	{name: "audit", path: "/audit", see: "request.create"},
	{name: "audit-found", path: "/audit?q=by:anna+type:request", see: "request.create"},
	{name: "audit-denied", path: "/audit", see: "You may not see this page", who: "anna"},
	{name: "settings", path: "/settings", see: "Single-key shortcuts"},
	{name: "settings-tokens", path: "/settings?tab=tokens", see: "New token"},
	{name: "settings-roles", path: "/settings?tab=roles", see: "decides approvals"},
	{name: "settings-secrets", path: "/settings?tab=secrets", see: "reader"},
	{name: "request-succeeded", path: "/requests/{succeeded}", see: "Tell the owner"},
	{name: "request-failed", path: "/requests/{failed}", see: "Retry from here"},
	{name: "request-waiting", path: "/requests/{waiting}", see: "Why nothing goes on"},
	{name: "request-running", path: "/requests/{running}", see: "Play agent"},
	{name: "request-graph", path: "/requests/{failed}?tab=graph", see: "Critical path"},
	{name: "request-past", path: "/requests/{failed}?at=12", see: "After event 12"},
	{name: "request-plan", path: "/requests/{succeeded}?tab=plan", see: "Register monitoring"},
	{name: "request-logs", path: "/requests/{succeeded}?tab=logs", see: "active (running)"},
	{name: "request-variables", path: "/requests/{succeeded}?tab=variables", see: "inputs.server"},
	{name: "request-files", path: "/requests/{succeeded}?tab=files", see: "564 B"},
	{name: "request-events", path: "/requests/{failed}?tab=events", see: "task.failed"},
	{name: "run-many", path: "/runs/{many}", see: "Update hosts"},
	{name: "run-graph", path: "/runs/{many}?tab=graph", see: "Update hosts"},
	{name: "not-found", path: "/nowhere", see: "Nothing is here"},
}
