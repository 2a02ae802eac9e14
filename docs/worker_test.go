package docs_test

import (
	"context"
	"encoding/json"
	"testing"

	"tutti/api"
	"tutti/sdk"
)

// door carries out tasks of the type noop in its own way.
type door struct{}

// Spec says what it is called.
func (door) Spec() api.TaskType {
	return api.TaskType{Name: "noop", Title: "Door", Doc: "Says that the door is open."}
}

// Do performs one attempt. It may be called again for the same task, with the same Key.
func (door) Do(ctx context.Context, t *sdk.Task) (sdk.Result, error) {
	var in struct {
		Door string `json:"door"`
	}
	if err := t.Bind(&in); err != nil {
		return sdk.Result{}, err
	}
	if in.Door == "" {
		return sdk.Result{}, sdk.Fail("door.missing", "no door is named").WithHint("give with.door")
	}
	if opened, err := t.Var("opened", nil); err != nil || !opened {
		t.Logf("opening %s", in.Door)
		if err := t.SetVar(ctx, "opened", true); err != nil { // durable from here: another attempt will not open it again
			return sdk.Result{}, err
		}
	}
	return sdk.Done(map[string]any{"open": in.Door}), nil
}

// The worker of recipes/remote-worker.md: a token that may take work, a pool, a task.
func TestRemoteWorker(t *testing.T) {
	t.Parallel()
	admin, _ := server(t)
	ctx := t.Context()
	if _, err := sdk.Call(ctx, admin, api.CreateUser, api.CreateUserIn{Body: api.CreateUserBody{
		Name: "rack7", Password: "correct horse battery", Grants: []api.GrantView{{Namespace: "default", Role: api.Worker}}}}); err != nil {
		t.Fatal(err)
	}
	token, err := sdk.Call(ctx, admin, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{
		Name: "rack7", User: "rack7", Grants: []api.GrantView{{Namespace: "default", Role: api.Worker}}}})
	if err != nil {
		t.Fatal(err)
	}

	c, err := sdk.New(sdk.Config{Server: admin.Server(), Token: token.Secret})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := sdk.Worker{Transport: c.Transport(), Pool: "rack7", Types: []sdk.TaskType{door{}}}
	life, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(life) }()

	run, err := sdk.Call(ctx, admin, api.StartRun, api.StartRunIn{Wait: api.Duration(30e9), Body: api.StartRunBody{
		Definition: `{"kind": "Workflow", "name": "open", "tasks": {"a": {"use": "noop", "pool": "rack7", "with": {"door": "north"}}}, "outputs": {"open": "${{ tasks.a.out.open }}"}}`}})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Open string `json:"open"`
	}
	if err := json.Unmarshal(run.Outputs, &out); err != nil || run.State != api.Succeeded || out.Open != "north" {
		t.Errorf("run = %s with %s, %v; want it to succeed with the north door open", run.State, run.Outputs, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run = %v after its context ended; want nil", err)
	}
	if _, err := sdk.Call(ctx, c, api.ListRuns, api.ListRunsIn{}); err == nil {
		t.Error("the worker's token can list runs")
	}
}
